package daemon

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"pmilter/internal/config"
	"pmilter/internal/store"
)

// openStore opens what scripts share. Only a store in a file needs the state folder.
func openStore(cfg *config.Config, log *zap.Logger) (store.Store, error) {
	u, err := store.ParseURL(cfg.Store.URL)
	if err != nil {
		return nil, fmt.Errorf("store.url: %w", err)
	}
	s, err := store.Open(u, func() (string, error) { return stateFolder(cfg.Server.State, os.LookupEnv) }, log)
	if err != nil {
		return nil, err
	}
	log.Debug("store", zap.Stringer("url", u)) // without its password
	return s, nil
}

var errNoState = errors.New("there is no folder to keep state in: set state in [server] of pmilter.toml, or $STATE_DIRECTORY")

// storeOpener opens the store of a configuration and has it used.
type storeOpener func(*store.Switch, *config.Config, *zap.Logger) error

func openStoreIn(w *store.Switch, cfg *config.Config, log *zap.Logger) error {
	opened, err := openStore(cfg, log)
	if err != nil {
		return err
	}
	w.Use(opened)
	return nil
}

// systemState is where a server of the system keeps its state.
const systemState = "/var/lib/pmilter"

// stateFolder is the folder of what outlives the process, made for this user alone
// if it is not there: configured; $STATE_DIRECTORY, which systemd makes; else
// /var/lib/pmilter if it is there and this process can write to it, or is root and so
// can make it; else pmilter in $XDG_STATE_HOME or ~/.local/state. It is for who needs
// the folder: a server that keeps nothing never makes one.
func stateFolder(configured string, env func(string) (string, bool)) (string, error) {
	folder := configured
	if folder == "" {
		if folder = usualState(env); folder == "" {
			return "", errNoState
		}
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return "", fmt.Errorf("the state folder cannot be made (server.state): %w", err)
	}
	return folder, nil
}

func usualState(env func(string) (string, bool)) string {
	if list, _ := env("STATE_DIRECTORY"); list != "" {
		first, _, _ := strings.Cut(list, ":") // systemd.exec(5): several are separated by colons
		return first
	}
	if os.Geteuid() == 0 || unix.Access(systemState, unix.W_OK|unix.X_OK) == nil {
		return systemState
	}
	if home, _ := env("XDG_STATE_HOME"); filepath.IsAbs(home) { // the specification has relative ones ignored
		return filepath.Join(home, "pmilter")
	}
	if home, _ := env("HOME"); filepath.IsAbs(home) {
		return filepath.Join(home, ".local", "state", "pmilter")
	}
	return ""
}
