package testbed

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

var testName = regexp.MustCompile(`\.test\.(js|mjs|ts|mts)$`)

// Find is the test files beneath the paths, absolute and in order: of a folder
// its *.test.js *.test.mjs *.test.ts *.test.mts and those of the folders in it,
// but for node_modules and names that begin with a dot; a file as it is. Relative
// paths are relative to the working folder.
func Find(paths []string) ([]string, error) {
	var files []string
	for _, path := range paths {
		abs, err := filepath.Abs(path)
		if err != nil {
			return nil, err
		}
		info, err := os.Stat(abs)
		if err != nil {
			return nil, fmt.Errorf("%s: no such file or folder", path)
		}
		if !info.IsDir() {
			files = append(files, abs)
			continue
		}
		err = filepath.WalkDir(abs, func(file string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case d.IsDir() && file != abs && (d.Name() == "node_modules" || strings.HasPrefix(d.Name(), ".")):
				return filepath.SkipDir
			case !d.IsDir() && isTest(d.Name()):
				files = append(files, file)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	slices.Sort(files)
	return slices.Compact(files), nil
}

func isTest(name string) bool {
	return testName.MatchString(name) && !strings.HasPrefix(name, ".")
}
