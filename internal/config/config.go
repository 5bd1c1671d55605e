// Package config reads pmilter.toml.
//
// It promises that a Config it returns is complete and possible: each value has
// its type, its unit and a sensible range, paths are absolute, and what is in the
// environment has been put in. It reports all faults of a file at once, each with
// its line and column. It refuses what it does not know, also keys that the
// design has and the program not yet, so that no setting is silently without
// effect. It does not look whether scripts, groups or addresses exist: who uses
// them does that.
package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Config is what pmilter.toml says, with the defaults for what it does not say.
// It is not changed after Load and may be read by many.
type Config struct {
	// File is the absolute path of the file; "" for Default.
	File string
	// Listen has at least one address. Each has been accepted by
	// milter.ParseAddr; paths of unix sockets are absolute.
	Listen []string
	// Scripts are files and folders, absolute but for Default. Empty: nothing
	// is filtered.
	Scripts []string

	Server  Server
	Milter  Milter
	Handler Handler
	Queues  []Queue // in the order of the file
	Store   Store
	// Decisions is how much of the decision log is kept.
	Decisions Decisions
	Log       Log
	DNS       DNS
	Admin     Admin
	// Permissions is what scripts may reach: nothing by default.
	Permissions Permissions
	// Vars is for the scripts: values are string, int64, float64, bool, []any
	// and map[string]any; dates are strings as written.
	Vars map[string]any

	// Warnings are about settings that are possible and hardly meant.
	Warnings Errors
}

// Milter is about the connections of MTAs.
type Milter struct {
	SocketMode     fs.FileMode   // of a unix socket: permission bits only
	SocketGroup    string        // name or number; "": the process's own
	MaxConnections int           // past it a new connection waits in the backlog
	IdleTimeout    time.Duration // of a connection that says nothing
	DrainTimeout   time.Duration // how long stopping waits for MTAs; 0: not at all
	Workers        int           // processes that serve the connections; 0: the main one
	MaxMessage     int64         // bytes, headers included; past it Oversize
	Oversize       Action
	SpoolThreshold int64 // bytes; larger bodies wait in a temporary file, not in memory
}

// Handler limits what one call of a script may use.
type Handler struct {
	Timeout    time.Duration // one phase, all its scripts and their awaits
	EOMTimeout time.Duration // the same for the handlers that run at the end of the message
	CPU        time.Duration // one stretch of JavaScript without an await
	Memory     int64         // bytes of heap of the process
	MaxValue   int64         // bytes of one string, array or buffer
	OnError    Action
}

// Log is how the log is written; see package log for the words.
type Log struct {
	Level  string // debug, info, warn, error
	Format string // auto, console, json
}

// Action is what is done with a message that cannot be judged.
type Action string

// The actions that can be configured.
const (
	Reject   Action = "reject"
	Tempfail Action = "tempfail"
	Accept   Action = "accept"
)

// Default is what holds without a file: paths are relative to the working
// directory.
func Default() *Config {
	return &Config{
		Listen:  []string{"inet:8890@127.0.0.1"},
		Scripts: []string{"scripts"},
		Milter: Milter{
			SocketMode:     0o660,
			MaxConnections: 10000,
			IdleTimeout:    time.Hour,
			DrainTimeout:   30 * time.Second,
			MaxMessage:     100 << 20,
			Oversize:       Reject,
			SpoolThreshold: 1 << 20,
		},
		Handler: Handler{
			Timeout:    8 * time.Second,
			EOMTimeout: 60 * time.Second,
			CPU:        2 * time.Second,
			Memory:     512 << 20,
			MaxValue:   64 << 20,
			OnError:    Tempfail,
		},
		Store:       Store{URL: "memory:"},
		Decisions:   Decisions{MaxSize: 256 << 20, Keep: 14 * 24 * time.Hour},
		Log:         Log{Level: "info", Format: "auto"},
		DNS:         DNS{Servers: []string{}, Timeout: 3 * time.Second},
		Permissions: Permissions{Net: []string{}, Exec: []string{}, Maildir: []string{}},
		Vars:        map[string]any{},
	}
}

// Find is the file to use when the user names none: $PMILTER_CONFIG, then
// ./pmilter.toml, then /etc/pmilter/pmilter.toml. When there is none, ok is false
// and Default applies. The file that $PMILTER_CONFIG names need not exist: that
// is an error of Load, not a reason to use another.
func Find(env func(name string) (string, bool)) (path string, ok bool) {
	if path, ok := env("PMILTER_CONFIG"); ok && path != "" {
		return path, true
	}
	for _, path := range []string{"pmilter.toml", "/etc/pmilter/pmilter.toml"} {
		// A file that is there and cannot be read must not be passed over.
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			return path, true
		}
	}
	return "", false
}

// maxFile bounds what Load reads, for the case that path names something else.
const maxFile = 1 << 20

// Load reads the file at path. env gives the values for ${NAME}. Faults in the
// file are an Errors, in the order of the file; what keeps the file from being
// read is another error.
func Load(path string, env func(name string) (string, bool)) (*Config, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("configuration: %s: more than %d bytes", path, maxFile)
	}
	config, faults := parse(data, path, filepath.Dir(absolute), env)
	if len(faults) > 0 {
		return nil, faults
	}
	config.File = absolute
	return config, nil
}

// parse is Load without the file: name is shown in messages, folder is where
// relative paths begin.
func parse(data []byte, name, folder string, env func(string) (string, bool)) (*Config, Errors) {
	l := &loader{source: newSource(name, data), folder: folder, env: env, config: Default(), seen: map[string]int{}}
	// The default of a relative path is relative to the file, too.
	for i, script := range l.config.Scripts {
		l.config.Scripts[i] = filepath.Join(folder, script)
	}
	root := readDocument(l.source)
	l.checkTable(l.schema(), "", root)
	l.checkWhole()
	if len(l.source.faults) == 0 {
		// Our reading is lenient in corners of TOML; the library's is not.
		l.source.strict()
	}
	l.source.faults.sort()
	l.source.warnings.sort()
	l.config.Warnings = l.source.warnings
	return l.config, l.source.faults
}
