package ejabberd

import (
	"crypto/sha256"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	module "github.com/bindgate/bindgate/xmppbridge/ejabberd"
)

//go:embed kit
var kit embed.FS

// ErrMissing says that there is no ejabberd on this machine.
var ErrMissing = errors.New("ejabberd is not installed (deploy/setup.sh --tests installs it)")

// installation is one version of ejabberd with the gate module compiled for it.
type installation struct {
	ebins     []string // of ejabberd and its libraries, in order
	gate, kit string   // ours
}

var builds sync.Map // root → func() (*installation, error)

// build finds the ejabberd under root and compiles the gate module and the kit's, once for each root and process.
func build(root string) (*installation, error) {
	once, _ := builds.LoadOrStore(root, sync.OnceValues(func() (*installation, error) { return compile(root) }))
	return once.(func() (*installation, error))()
}

func compile(root string) (*installation, error) {
	if _, err := exec.LookPath("erl"); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMissing, err)
	}
	core, err := filepath.Glob(filepath.Join(root, "/usr/lib/*/ejabberd-*/ebin"))
	if err != nil || len(core) == 0 {
		return nil, ErrMissing
	}
	libs, err := filepath.Glob(filepath.Join(root, "/usr/lib/erlang/lib/*/ebin"))
	if err != nil {
		return nil, err
	}
	in := &installation{ebins: core}
	if root != "" {
		in.ebins = append(in.ebins, libs...)
	}
	includes, err := filepath.Glob(filepath.Join(root, "/usr/lib/*/ejabberd-*/include"))
	if err != nil {
		return nil, err
	}
	for _, lib := range libs {
		if name := filepath.Base(filepath.Dir(lib)); slices.ContainsFunc([]string{"p1_xmpp-", "p1_xml-", "p1_utils-"}, func(p string) bool { return strings.HasPrefix(name, p) }) {
			includes = append(includes, filepath.Join(filepath.Dir(lib), "include"))
		}
	}
	if in.gate, err = in.compile(module.Module, includes); err != nil {
		return nil, err
	}
	in.kit, err = in.compile(kit, includes)
	return in, err
}

// compile returns the directory with the compiled modules.
func (in *installation) compile(src fs.FS, includes []string) (string, error) {
	sources, err := read(src)
	if err != nil {
		return "", err
	}
	// The directory is named for what is in it, so that other processes find it made. The server's user reads it.
	sum := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(sources)) {
		fmt.Fprintf(sum, "%s %d\n%s", name, len(sources[name]), sources[name])
	}
	fmt.Fprintln(sum, in.ebins)
	beams := filepath.Join(os.TempDir(), fmt.Sprintf("bindgate-beams-%x", sum.Sum(nil)[:12]))
	if _, err := os.Stat(beams); err == nil {
		return beams, nil
	}
	work, err := os.MkdirTemp("", "bindgate-beams-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(work)
	if err := os.Chmod(work, 0o755); err != nil {
		return "", err
	}
	args := []string{"-Wall", "-Werror", "-o", work}
	for _, dir := range includes {
		args = append(args, "-I", dir)
	}
	for _, dir := range in.ebins {
		args = append(args, "-pa", dir)
	}
	for name, text := range sources {
		file := filepath.Join(work, name)
		if err := os.WriteFile(file, text, 0o644); err != nil {
			return "", err
		}
		if filepath.Ext(name) == ".erl" {
			args = append(args, file)
		}
	}
	erlc := exec.Command("erlc", args...)
	erlc.Env = append(os.Environ(), "ERL_FLAGS="+strings.Join(patientSchedulers, " "))
	if out, err := erlc.CombinedOutput(); err != nil {
		return "", fmt.Errorf("compile mod_bindgate: %w\n%s", err, out)
	}
	if err := os.Rename(work, beams); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	return beams, nil
}

// read returns the Erlang files of a directory by their names.
func read(dir fs.FS) (map[string][]byte, error) {
	sources := map[string][]byte{}
	return sources, fs.WalkDir(dir, ".", func(path string, d fs.DirEntry, err error) error {
		if ext := filepath.Ext(path); err != nil || ext != ".erl" && ext != ".hrl" {
			return err
		}
		sources[filepath.Base(path)], err = fs.ReadFile(dir, path)
		return err
	})
}
