package chart

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redkubes/otomi/pkg/diag"
	"github.com/redkubes/otomi/pkg/source"
)

// VendorDir is the directory of a values repository that holds what charts.lock names: NAME-VERSION-SHA.tgz, SHA being the
// first 12 digits of the sha256 in the lock. Those of git are packed by otomi.
const VendorDir = "vendor/charts"

// HasVendored reports whether a values repository keeps charts, which then follow charts.lock. An empty vendor/charts is what
// a failure left behind, since git keeps none. One that can't be listed is an error: charts must not come from elsewhere
// because of that.
func HasVendored(tree source.Tree) (bool, error) {
	if tree.FS == nil {
		return false, nil
	}
	found, err := fs.ReadDir(tree.FS, VendorDir)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("listing %s: %w", tree.Display(VendorDir), err)
	}
	return len(found) > 0, nil
}

// vendorFile is the form of the names that otomi gives, so that it removes no others.
var vendorFile = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*-[A-Za-z0-9.+-]+-[0-9a-f]{12}\.tgz(?:\.prov)?$`)

// Vendored are the files of vendor/charts after it was written, by their names, sorted.
type Vendored struct{ Written, Kept, Removed []string }

// Vendor writes what the store's lock names into vendor/charts of the values repository in the directory dir, and removes
// what it names no more; files that otomi would not have written stay. A file that is there is verified and kept. refs are
// the references of all releases, whose credentials are used. Nothing is in its place before all of it is there: after a
// diagnostic, or an error of getting it, the repository is as it was. Where a chart's provenance is asked for, its .prov file
// is written beside it.
func (s *Store) Vendor(ctx context.Context, dir string, refs []Ref) (_ Vendored, diags diag.Diagnostics, err error) {
	if s.o.Lock == nil {
		return Vendored{}, diag.Diagnostics{noLock()}, nil
	}
	v, err := openVendor(dir)
	if err != nil {
		return Vendored{}, nil, err
	}
	defer func() { err = errors.Join(err, v.close()) }()
	options := s.o
	options.Files = source.Tree{} // what is there was looked at
	fetching := NewStore(options)

	entries := s.o.Lock.files()
	diags, err = each(len(entries), func(i int) (diag.Diagnostics, error) {
		e, r := entries[i], s.refOf(entries[i], refs)
		var diags diag.Diagnostics
		if !v.has(e) {
			p, more, err := fetching.parcel(ctx, r, e)
			if diags = more; err != nil || diags.HasErrors() {
				return diags, err
			}
			if err := v.stage(e.file(), p.archive); err != nil {
				return diags, err
			}
		}
		if wanted, keyring := r.provenance(); !wanted || v.proves(e, keyring) {
			return diags, nil
		}
		text, more, err := fetching.proven(ctx, r, e)
		if diags = append(diags, more...); err != nil || more.HasErrors() {
			return diags, err
		}
		return diags, v.stage(e.provenance(), text)
	})
	if err != nil || diags.HasErrors() {
		return Vendored{}, diags, err
	}
	out, err := v.place(entries)
	return out, diags, err
}

func noLock() diag.Diagnostic {
	return diag.Diagnostic{
		Severity: diag.Error, Code: diag.ChartNotLocked,
		Detail: "there is no charts.lock, so that nothing says which charts these are. Write it with: otomi charts lock",
	}
}

// vendoring is one writing of vendor/charts. Its files stand beside their places until all of them are there.
type vendoring struct {
	root *os.Root
	// made are the directories that were not there before, the deepest first.
	made []string

	mu sync.Mutex
	// staged are the names of files beside their places, by these.
	staged map[string]string
}

// openVendor opens a values repository and makes vendor/charts in it.
func openVendor(dir string) (*vendoring, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("opening the values repository: %w", err)
	}
	v := &vendoring{root: root, staged: map[string]string{}}
	for _, name := range []string{path.Dir(VendorDir), VendorDir} {
		if _, err := root.Stat(name); errors.Is(err, fs.ErrNotExist) {
			v.made = append([]string{name}, v.made...)
		}
	}
	if err := root.MkdirAll(VendorDir, 0o755); err != nil {
		return nil, errors.Join(fmt.Errorf("making %s: %w", VendorDir, err), v.close())
	}
	return v, nil
}

// close removes what was not put in place. An empty vendor/charts must not stay where there was none: nothing would be
// fetched any more.
func (v *vendoring) close() error {
	var errs []error
	for _, beside := range v.staged {
		errs = append(errs, v.root.Remove(beside))
	}
	for _, name := range v.made {
		_ = v.root.Remove(name) // one that has files stays
	}
	return errors.Join(append(errs, v.root.Close())...)
}

// has reports whether the file of an entry is there with the bytes that it names.
func (v *vendoring) has(e Entry) bool {
	archive, err := readFile(v.root.FS(), path.Join(VendorDir, e.file()), maxArchive)
	if err != nil {
		return false
	}
	p, err := opened(e, archive)
	return err == nil && p.digest == e.SHA256
}

// proves reports whether the .prov file of an entry is there and holds.
func (v *vendoring) proves(e Entry, keyring string) bool {
	text, err := readFile(v.root.FS(), path.Join(VendorDir, e.provenance()), maxProvenance)
	return err == nil && verifySignature(e.SHA256, provenanceName(e), text, keyring) == nil
}

// stage writes a file of vendor/charts beside its place.
func (v *vendoring) stage(name string, data []byte) error {
	name = path.Join(VendorDir, name)
	beside, err := stage(v.root, name, data)
	if err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.staged[name] = beside
	return nil
}

// place puts what was staged in its place, and removes what no entry names. One file follows the other: where one can't be
// put, those before it stay, each of them whole and right, and the others are as they were.
func (v *vendoring) place(entries []Entry) (Vendored, error) {
	var out Vendored
	for _, e := range entries {
		for _, file := range []string{e.file(), e.provenance()} {
			name := path.Join(VendorDir, file)
			beside, ok := v.staged[name]
			if !ok {
				if file == e.file() {
					out.Kept = append(out.Kept, file)
				}
				continue
			}
			if err := v.root.Rename(beside, name); err != nil {
				return out, fmt.Errorf("writing %s: %w", name, err)
			}
			delete(v.staged, name)
			out.Written = append(out.Written, file)
		}
	}
	var err error
	out.Removed, err = prune(v.root, entries)
	return out, err
}

// files are the entries with files of their own, in the order of these.
func (l *Lock) files() []Entry {
	out := slices.Clone(l.Entries)
	slices.SortStableFunc(out, func(a, b Entry) int { return strings.Compare(a.file(), b.file()) })
	return slices.CompactFunc(out, func(a, b Entry) bool { return a.file() == b.file() })
}

// refOf returns the reference that an entry was made for, or one that means the same.
func (s *Store) refOf(e Entry, refs []Ref) Ref {
	var known []Repository
	found := Ref{}
	for _, r := range refs {
		if isRemote(r) && KeyOf(r) == e.Key && (found.Chart == "" || wantsProvenance(r) && !wantsProvenance(found)) {
			found = r
		}
		known = append(known, r.Known...)
	}
	if found.Chart != "" {
		return found
	}
	return e.ref(known)
}

// temporary begins the names of files that are being written, eight random digits and a dash follow.
const temporary = ".new-"

// abandoned is the age of a file that is being written at which its writer is dead.
const abandoned = time.Hour

var temporaryForm = regexp.MustCompile(`^\.new-(?:[0-9a-f]{8}-)?`)

// stage writes data beside the place of a file and returns its name there.
func stage(root *os.Root, name string, data []byte) (string, error) {
	// At random, so that two processes don't write into one file; what one that died left is pruned.
	beside := path.Join(path.Dir(name), fmt.Sprintf("%s%08x-%s", temporary, rand.Uint32(), path.Base(name)))
	f, err := root.OpenFile(beside, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return "", fmt.Errorf("writing %s: %w", name, err)
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return "", fmt.Errorf("writing %s: %w", name, errors.Join(err, root.Remove(beside)))
	}
	return beside, nil
}

// replace writes a file whole or not at all.
func replace(root *os.Root, name string, data []byte) error {
	beside, err := stage(root, name, data)
	if err != nil {
		return err
	}
	if err := root.Rename(beside, name); err != nil {
		return fmt.Errorf("writing %s: %w", name, errors.Join(err, root.Remove(beside)))
	}
	return nil
}

// prune removes the files of vendor/charts that otomi wrote and no entry names.
func prune(root *os.Root, entries []Entry) ([]string, error) {
	found, err := fs.ReadDir(root.FS(), VendorDir)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", VendorDir, err)
	}
	var removed []string
	for _, f := range found {
		named := slices.ContainsFunc(entries, func(e Entry) bool { return e.file() == f.Name() || e.provenance() == f.Name() })
		if named || !f.Type().IsRegular() || !vendorFile.MatchString(temporaryForm.ReplaceAllString(f.Name(), "")) {
			continue
		}
		if strings.HasPrefix(f.Name(), temporary) {
			// Of a process that died, or one that is still at it.
			if info, err := f.Info(); err != nil || time.Since(info.ModTime()) < abandoned {
				continue
			}
		}
		if err := root.Remove(path.Join(VendorDir, f.Name())); err != nil {
			return removed, fmt.Errorf("removing a chart that nothing names: %w", err)
		}
		removed = append(removed, f.Name())
	}
	return removed, nil
}

// WriteLock writes charts.lock into the values repository in the directory dir, whole or not at all, and reports whether
// that changed it.
func WriteLock(dir string, l *Lock) (changed bool, err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return false, fmt.Errorf("opening the values repository: %w", err)
	}
	defer root.Close()
	text := l.Marshal()
	old, err := readFile(root.FS(), LockFile, maxLock)
	if err == nil && string(old) == string(text) {
		return false, nil
	}
	return true, replace(root, LockFile, text)
}

// VendorArchive writes the store's lock and all that it names as one tar archive, from which UnpackVendor makes
// vendor/charts on a machine without a network: the same bytes for the same lock. Where there is a vendor/charts it is taken
// from that. What was written counts only without a diagnostic and an error.
func (s *Store) VendorArchive(ctx context.Context, w io.Writer, refs []Ref) (diag.Diagnostics, error) {
	if s.o.Lock == nil {
		return diag.Diagnostics{noLock()}, nil
	}
	archive := tar.NewWriter(w)
	write := func(name string, data []byte) error {
		if err := writeEntry(archive, name, data); err != nil {
			return fmt.Errorf("writing %s into the archive: %w", name, err)
		}
		return nil
	}
	if err := write(LockFile, s.o.Lock.Marshal()); err != nil {
		return nil, err
	}
	var diags diag.Diagnostics
	for _, e := range s.o.Lock.files() {
		r := s.refOf(e, refs)
		p, more, err := s.parcel(ctx, r, e)
		diags = append(diags, more...)
		if err != nil {
			return diags, err
		}
		if more.HasErrors() {
			continue // all that is missing is said at once
		}
		if err := write(path.Join(VendorDir, e.file()), p.archive); err != nil {
			return diags, err
		}
		if !wantsProvenance(r) {
			continue
		}
		text, more, err := s.proven(ctx, r, e)
		diags = append(diags, more...)
		if err != nil {
			return diags, err
		}
		if more.HasErrors() {
			continue
		}
		if err := write(path.Join(VendorDir, e.provenance()), text); err != nil {
			return diags, err
		}
	}
	if diags.HasErrors() {
		return diags, nil
	}
	if err := archive.Close(); err != nil {
		return diags, fmt.Errorf("writing the archive: %w", err)
	}
	return diags, nil
}

// UnpackVendor makes vendor/charts of the values repository in the directory dir out of an archive of VendorArchive. The
// repository's charts.lock decides which files are right; only where it has none, that of the archive is taken. Nothing is
// in its place before all of it is verified: after a diagnostic, or an error of reading it, the repository is as it was.
func UnpackVendor(ctx context.Context, r io.Reader, dir string) (_ Vendored, diags diag.Diagnostics, err error) {
	v, err := openVendor(dir)
	if err != nil {
		return Vendored{}, nil, err
	}
	defer func() { err = errors.Join(err, v.close()) }()
	u := unpacking{vendoring: v}
	if diags, err := u.read(ctx, tar.NewReader(r)); err != nil || diags.HasErrors() {
		return Vendored{}, diags, err
	}
	out, err := v.place(u.lock.files())
	if err == nil && u.fresh {
		err = replace(v.root, LockFile, u.lock.Marshal())
	}
	return out, nil, err
}

// unpacking is one reading of an archive of charts.
type unpacking struct {
	*vendoring
	lock *Lock
	// fresh says that the lock is the archive's, and is to be written.
	fresh bool
}

func wrongArchive(format string, args ...any) diag.Diagnostic {
	return diag.Diagnostic{
		Severity: diag.Error, Code: diag.ChartDigest,
		Detail: fmt.Sprintf("the archive %s. Write it again with: otomi charts vendor --archive FILE", fmt.Sprintf(format, args...)),
	}
}

// read verifies and stages the files of an archive.
func (u *unpacking) read(ctx context.Context, archive *tar.Reader) (diag.Diagnostics, error) {
	for n := 0; ; n++ {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("unpacking the archive: %w", err)
		}
		h, err := archive.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return diag.Diagnostics{wrongArchive("can't be read: %v", err)}, nil
		}
		most := int64(maxArchive)
		if n == 0 {
			most = maxLock
		}
		if h.Typeflag != tar.TypeReg || h.Size > most || n > maxFiles {
			return diag.Diagnostics{wrongArchive("has %q, which otomi did not write", h.Name)}, nil
		}
		data := make([]byte, 0, min(h.Size, 1<<20)) // the size is what the archive says, not what it has
		data, err = readAll(archive, data)
		if err != nil {
			return diag.Diagnostics{wrongArchive("can't be read: %v", err)}, nil
		}
		var diags diag.Diagnostics
		if n == 0 {
			diags, err = u.readLock(h.Name, data)
		} else {
			diags, err = u.readFile(h.Name, data)
		}
		if err != nil || diags.HasErrors() {
			return diags, err
		}
	}
	if u.lock == nil {
		return diag.Diagnostics{wrongArchive("is empty")}, nil
	}
	for _, e := range u.lock.files() {
		if _, ok := u.staged[path.Join(VendorDir, e.file())]; !ok {
			return diag.Diagnostics{wrongArchive("lacks %s", e.file())}, nil
		}
	}
	return nil, nil
}

// readAll reads all of r behind data.
func readAll(r io.Reader, data []byte) ([]byte, error) {
	for {
		if len(data) == cap(data) {
			data = append(data, 0)[:len(data)]
		}
		n, err := r.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		if err == io.EOF {
			return data, nil
		}
		if err != nil {
			return data, err
		}
	}
}

// readLock takes the repository's lock, or where it has none the archive's.
func (u *unpacking) readLock(name string, text []byte) (diag.Diagnostics, error) {
	if name != LockFile {
		return diag.Diagnostics{wrongArchive("does not begin with charts.lock")}, nil
	}
	carried, diags := parseLock(text, LockFile)
	if diags.HasErrors() {
		return diag.Diagnostics{wrongArchive("has a charts.lock that can't be read: %s", diags[0].Detail)}, nil
	}
	own, diags, err := ReadLock(source.Tree{FS: u.root.FS()})
	if err != nil || diags.HasErrors() {
		return diags, err
	}
	u.lock, u.fresh = own, own == nil
	if u.fresh {
		u.lock = carried
		return nil, nil
	}
	if changes := own.Diff(carried); len(changes) > 0 {
		return diag.Diagnostics{wrongArchive("was made for another charts.lock than the repository has: they differ in %s", changes[0].Key)}, nil
	}
	return nil, nil
}

// readFile verifies a file and stages it.
func (u *unpacking) readFile(name string, data []byte) (diag.Diagnostics, error) {
	if slices.ContainsFunc(u.lock.Entries, func(e Entry) bool { return path.Join(VendorDir, e.provenance()) == name }) && len(data) <= maxProvenance {
		return nil, u.stage(path.Base(name), data) // verified by whoever asks for it, with his keyring
	}
	i := slices.IndexFunc(u.lock.Entries, func(e Entry) bool { return path.Join(VendorDir, e.file()) == name })
	if i < 0 {
		return diag.Diagnostics{wrongArchive("has %q, which its charts.lock does not name", name)}, nil
	}
	e := u.lock.Entries[i]
	p, err := opened(e, data)
	if err != nil || p.digest != e.SHA256 {
		return diag.Diagnostics{digestMismatch(e.Range, e, orElse(p.digest, "something that is no archive"), "The archive was changed or damaged. Get it again.")}, nil
	}
	return nil, u.stage(e.file(), data)
}
