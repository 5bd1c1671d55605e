package main

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"pmilter/scripts"
)

// project is what init writes, but for pmilter.d.ts.
//
//go:embed project
var project embed.FS

// newInitCommand writes a small project that runs.
func newInitCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "init [DIR]",
		Short: "Write a small project: configuration, a filter, its test, types for editors",
		Long: "Write a small project into DIR, or the working folder: pmilter.toml, scripts/ with one\n" +
			"filter and its test, pmilter.d.ts and jsconfig.json for editors, a README.\n\n" +
			"No file is ever overwritten: if one of them is there already, none is written.",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usagef("%s takes one folder, not %d", cmd.CommandPath(), len(args))
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			dir := "."
			if len(args) == 1 {
				dir = args[0]
			}
			return a.initProject(dir)
		},
	}
}

// initProject writes all files, or none.
func (a *app) initProject(dir string) error {
	files, err := projectFiles()
	if err != nil {
		return err
	}
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	var there []string
	for _, name := range names {
		if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
			there = append(there, filepath.Join(dir, name)+" is there already")
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if len(there) > 0 {
		return fmt.Errorf("%s\nnothing was written: choose another folder, or move what is there", strings.Join(there, "\n"))
	}
	for _, name := range names {
		path := filepath.Join(dir, name)
		if err := writeNew(path, files[name]); err != nil {
			return err
		}
		fmt.Fprintln(a.stdout, path)
	}
	next := ""
	if dir != "." {
		next = "cd " + dir + " && "
	}
	fmt.Fprintf(a.stdout, "\nNow: %spmilterd test\n", next)
	return nil
}

// projectFiles is the files by their names in the project.
func projectFiles() (map[string][]byte, error) {
	files := map[string][]byte{"pmilter.d.ts": []byte(scripts.Types)}
	err := fs.WalkDir(project, "project", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := project.ReadFile(path)
		files[filepath.FromSlash(strings.TrimPrefix(path, "project/"))] = data
		return err
	})
	return files, err
}

// writeNew writes a file that must not be there yet, and makes its folder.
func writeNew(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}
