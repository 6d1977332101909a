package report

import (
	"fmt"
	"io"
	"os"
)

// spoolMemory is how much of a product is kept in memory before the rest goes to a file.
const spoolMemory = 32 << 20

// spool keeps a product until it is known that all of it can be made. What does not fit into memory goes to a temporary
// file that has no name any more: it is gone when the process is, however it ends.
type spool struct {
	dir string
	// memory are chunks, all but the last of them full: what is there is never moved.
	memory [][]byte
	held   int64
	file   *os.File
	size   int64
	limit  int64
}

const chunk = 256 << 10

// newSpool returns a spool whose file, if it comes to one, is made in the directory dir.
func newSpool(dir string) *spool { return &spool{dir: dir, limit: spoolMemory} }

func (s *spool) Write(p []byte) (int, error) {
	if s.file == nil && s.held+int64(len(p)) <= s.limit {
		s.hold(p)
		return len(p), nil
	}
	if s.file == nil {
		f, err := os.CreateTemp(s.dir, "otomi-*") // for the user alone
		if err != nil {
			return 0, fmt.Errorf("making a temporary file: %w", err)
		}
		s.file = f
		if err := os.Remove(f.Name()); err != nil {
			return 0, fmt.Errorf("making a temporary file: %w", err)
		}
	}
	n, err := s.file.Write(p)
	s.size += int64(n)
	if err != nil {
		return n, fmt.Errorf("writing a temporary file: %w", err)
	}
	return n, nil
}

// hold puts text into memory.
func (s *spool) hold(p []byte) {
	s.held, s.size = s.held+int64(len(p)), s.size+int64(len(p))
	for len(p) > 0 {
		if len(s.memory) == 0 || len(s.memory[len(s.memory)-1]) == chunk {
			s.memory = append(s.memory, make([]byte, 0, chunk))
		}
		last := &s.memory[len(s.memory)-1]
		n := min(len(p), chunk-len(*last))
		*last, p = append(*last, p[:n]...), p[n:]
	}
}

// section reads n bytes of what was written, from the given one on.
func (s *spool) section(from, n int64) io.Reader {
	return io.NewSectionReader(s, from, n)
}

// ReadAt reads what was written, from memory first and then from the file.
func (s *spool) ReadAt(p []byte, at int64) (int, error) {
	n := 0
	for n < len(p) && at+int64(n) < s.held {
		from := at + int64(n)
		n += copy(p[n:], s.memory[from/chunk][from%chunk:])
	}
	if n == len(p) {
		return n, nil
	}
	if s.file == nil {
		return n, io.EOF
	}
	more, err := s.file.ReadAt(p[n:], at+int64(n)-s.held)
	return n + more, err
}

// Close gives back what the spool holds.
func (s *spool) Close() error {
	s.memory = nil
	if s.file == nil {
		return nil
	}
	err := s.file.Close()
	s.file = nil
	return err
}
