package pg

import (
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

const (
	maxSocketPath = 107                 // sun_path less its NUL, unix(7)
	fallbackRoot  = "/var/lib/bindgate" // for clusters whose own place their user cannot reach
)

// owner is the user that PostgreSQL runs as and its directory belongs to.
type owner struct {
	uid, gid int
	name     string
	drop     bool // we are root and become this user
}

func findOwner() (owner, error) {
	if uid := os.Geteuid(); uid != 0 {
		return owner{uid: uid, gid: os.Getegid(), name: userName(uid)}, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return owner{}, fmt.Errorf("PostgreSQL does not run as root, and there is no user to run it as: install PostgreSQL from packages, which make the user postgres, or start bindgate as an ordinary user: %w", err)
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return owner{}, fmt.Errorf("user postgres: %w", err)
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return owner{}, fmt.Errorf("user postgres: %w", err)
	}
	return owner{uid: uid, gid: gid, name: u.Username, drop: true}, nil
}

// attr makes a child process run as the owner.
func (o owner) attr() *syscall.SysProcAttr {
	if !o.drop {
		return &syscall.SysProcAttr{}
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(o.uid), Gid: uint32(o.gid)}}
}

// env leaves out what would steer PostgreSQL elsewhere (PGDATA, PGHOST, …) and the secrets of our own environment.
func (o owner) env() []string {
	return []string{"PATH=/usr/bin:/bin", "LC_ALL=C", "TZ=UTC"}
}

// prepare returns the directory to use: made if missing, owned by o, reachable by it, links resolved.
func (o owner) prepare(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("database directory: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(dir), o.parentMode()); err != nil {
		return "", fmt.Errorf("database directory: %w", err)
	}
	if _, err := os.Lstat(dir); errors.Is(err, os.ErrNotExist) {
		if err := o.create(dir); err != nil {
			return "", err
		}
	}
	place, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return "", fmt.Errorf("database directory: %w", err)
	}
	if err := o.claim(place); err != nil {
		return "", err
	}
	if bad := o.blockedAt(place); bad != "" {
		return "", fmt.Errorf("the user %s, which PostgreSQL runs as, cannot enter %s: allow it (chmod o+x %s) or use another data directory", o.name, bad, bad)
	}
	return place, nil
}

// create makes dir, or a link to a place which the owner can reach.
func (o owner) create(dir string) error {
	if o.blockedAt(dir) == "" {
		return o.mkdir(dir)
	}
	if err := os.MkdirAll(fallbackRoot, 0o755); err != nil {
		return fmt.Errorf("database directory: %w", err)
	}
	place, err := os.MkdirTemp(fallbackRoot, "cluster-")
	if err != nil {
		return fmt.Errorf("database directory: %w", err)
	}
	if err := os.Chown(place, o.uid, o.gid); err != nil {
		return fmt.Errorf("database directory: %w", err)
	}
	if err := os.Symlink(place, dir); err != nil {
		return fmt.Errorf("database directory: %w", err)
	}
	return nil
}

// claim checks whose dir is. As root an empty directory of root's is handed over.
func (o owner) claim(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("database directory: %w", err)
	}
	if !info.IsDir() {
		return fmt.Errorf("database directory: %s is not a directory", dir)
	}
	uid := int(info.Sys().(*syscall.Stat_t).Uid)
	if uid == 0 && o.drop {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return fmt.Errorf("database directory: %w", err)
		}
		if len(entries) == 0 {
			if err := os.Chown(dir, o.uid, o.gid); err != nil {
				return fmt.Errorf("database directory: %w", err)
			}
			uid = o.uid
		}
	}
	if uid != o.uid {
		return fmt.Errorf("the database directory %s belongs to the user %s, but PostgreSQL would run as %s: start bindgate as %s, or hand the directory over (chown -R %s %s), or use another data directory",
			dir, userName(uid), o.name, userName(uid), o.name, dir)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return fmt.Errorf("database directory: %w", err)
	}
	return nil
}

func (o owner) mkdir(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return fmt.Errorf("database directory: %w", err)
	}
	if o.drop {
		if err := os.Chown(dir, o.uid, o.gid); err != nil {
			return fmt.Errorf("database directory: %w", err)
		}
	}
	return nil
}

// parentMode lets the user postgres pass through a data directory that root makes, but not read it.
func (o owner) parentMode() os.FileMode {
	if o.drop {
		return 0o711
	}
	return 0o700
}

// blockedAt returns the first directory above dir that the owner may not enter, "" if there is none.
func (o owner) blockedAt(dir string) string {
	if !o.drop {
		return ""
	}
	at := "/"
	for _, part := range strings.Split(strings.Trim(filepath.Dir(dir), "/"), "/") {
		at = filepath.Join(at, part)
		info, err := os.Stat(at)
		if err != nil {
			return at
		}
		st := info.Sys().(*syscall.Stat_t)
		bit := os.FileMode(0o001)
		switch {
		case int(st.Uid) == o.uid:
			bit = 0o100
		case int(st.Gid) == o.gid:
			bit = 0o010
		}
		if info.Mode()&bit == 0 {
			return at
		}
	}
	return ""
}

// socketDir is the cluster's own directory, or a short one in /tmp if the socket's path would be too long.
func (o owner) socketDir(dir string) (string, error) {
	if len(dir)+len("/.s.PGSQL."+port+".lock") <= maxSocketPath {
		return dir, nil
	}
	h := fnv.New64a()
	h.Write([]byte(dir))
	short := fmt.Sprintf("/tmp/bindgate-%d-%x", o.uid, h.Sum64())
	err := o.mkdir(short)
	if err != nil && !errors.Is(err, os.ErrExist) {
		return "", err
	}
	info, err := os.Lstat(short)
	if err != nil {
		return "", fmt.Errorf("socket directory: %w", err)
	}
	if uid := int(info.Sys().(*syscall.Stat_t).Uid); !info.IsDir() || uid != o.uid || info.Mode().Perm() != 0o700 {
		return "", fmt.Errorf("socket directory %s was made by somebody else (user %s): remove it, or use a data directory with a path of less than %d bytes",
			short, userName(uid), maxSocketPath-len("/.s.PGSQL."+port+".lock"))
	}
	return short, nil
}

func (o owner) openLog(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("postgresql log: %w", err)
	}
	if o.drop {
		if err := f.Chown(o.uid, o.gid); err != nil {
			f.Close()
			return nil, fmt.Errorf("postgresql log: %w", err)
		}
	}
	return f, nil
}

// lockDir makes this process the only one that uses dir. The lock ends with the process.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(dir+".lock", os.O_CREATE|os.O_RDWR|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("database directory: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("the database directory %s is in use by another bindgate: stop that one, or use another data directory, or give both the same --database-url", dir)
	}
	return f, nil
}

func userName(uid int) string {
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return u.Username
	}
	return strconv.Itoa(uid)
}
