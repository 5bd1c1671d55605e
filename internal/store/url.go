package store

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"go.uber.org/zap"
)

// URL says where a store is: "memory:", "file:" (in the server's state folder),
// "file:PATH", "redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]", "rediss://..." (with
// TLS), "redis+unix:///PATH[?db=DATABASE]".
type URL struct {
	scheme string
	path   string // of a file; "": in the state folder
	redis  *redis.Options
}

// ParseURL reads a store's URL. It opens nothing. Its errors do not show the
// text, which may have a password.
func ParseURL(text string) (URL, error) {
	scheme, rest, ok := strings.Cut(text, ":")
	switch {
	case !ok:
		return URL{}, errScheme
	case scheme == "memory" && rest == "":
		return URL{scheme: scheme}, nil
	case scheme == "memory":
		return URL{}, errors.New(`"memory:" has nothing after it`)
	case scheme == "file" && (strings.ContainsRune(rest, 0) || strings.HasPrefix(rest, "//") || strings.HasSuffix(rest, "/")):
		return URL{}, errors.New(`"file:" is followed by the path of a file, or by nothing`)
	case scheme == "file":
		return URL{scheme: scheme, path: rest}, nil
	case scheme == "redis" || scheme == "rediss" || scheme == "redis+unix":
		o, err := parseRedis(scheme, text)
		return URL{scheme: scheme, redis: o}, err
	default:
		return URL{}, errScheme
	}
}

var (
	errScheme = errors.New(`not a store: write "memory:", "file:", "file:PATH" or "redis://host:6379/0"`)
	errRedis  = errors.New(`not the address of a Redis: write for example "redis://host:6379/0" or "redis://:${REDIS_PASSWORD}@host/0"`)
	errSocket = errors.New(`not the socket of a Redis: write for example "redis+unix:///run/redis/redis.sock?db=0"`)
)

// parseRedis leaves to the library what it reads well; what it would pass over, or
// complain of with the password, is refused before.
func parseRedis(scheme, text string) (*redis.Options, error) {
	u, err := url.Parse(text)
	if err != nil || u.Opaque != "" || u.Fragment != "" {
		return nil, errRedis
	}
	if scheme == "redis+unix" {
		query, err := url.ParseQuery(u.RawQuery)
		if db := query.Get("db"); err != nil || u.Host != "" || !filepath.IsAbs(u.Path) || len(query) > 1 ||
			len(query) == 1 && !isDatabase(db) {
			return nil, errSocket
		}
		u.Scheme = "unix"
	} else if db := strings.TrimPrefix(u.Path, "/"); u.Hostname() == "" || u.RawQuery != "" || db != "" && !isDatabase(db) {
		return nil, errRedis
	}
	o, err := redis.ParseURL(u.String())
	if err != nil {
		return nil, errRedis
	}
	return o, nil
}

func isDatabase(s string) bool {
	n, err := strconv.ParseUint(s, 10, 31)
	return err == nil && strconv.FormatUint(n, 10) == s
}

// File is the path after "file:", and whether the URL is one.
func (u URL) File() (path string, ok bool) { return u.path, u.scheme == "file" }

// String is the URL as a log may show it, without a password.
func (u URL) String() string {
	switch {
	case u.redis == nil:
		return u.scheme + ":" + u.path
	case u.redis.Network == "unix":
		return fmt.Sprintf("%s://%s?db=%d", u.scheme, u.redis.Addr, u.redis.DB)
	default:
		return fmt.Sprintf("%s://%s/%d", u.scheme, u.redis.Addr, u.redis.DB)
	}
}

// defaultFile is the file of "file:" in the state folder.
const defaultFile = "store.db"

// Open opens the store at u. state is the server's state folder, made if need be;
// it is asked for "file:" alone. A Redis need not be there yet.
func Open(u URL, state func() (string, error), log *zap.Logger) (Store, error) {
	switch {
	case u.redis != nil:
		o := *u.redis
		return OpenRedis(&o, log), nil
	case u.scheme == "file":
		path := u.path
		if path == "" {
			folder, err := state()
			if err != nil {
				return nil, fmt.Errorf("store: %w", err)
			}
			path = filepath.Join(folder, defaultFile)
		}
		return OpenFile(path, time.Now, log)
	case u.scheme == "memory":
		return NewMemory(time.Now), nil
	default:
		return nil, fmt.Errorf("store: %w", errScheme)
	}
}
