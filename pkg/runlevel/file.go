package runlevel

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
)

func isMissing(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// read returns the text of a file, or that it is larger than maxFile.
func read(fsys fs.FS, name string) (text []byte, tooLarge bool, err error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, false, fmt.Errorf("opening it: %w", err)
	}
	defer f.Close()
	text, err = io.ReadAll(io.LimitReader(f, maxFile+1))
	return text, len(text) > maxFile, err
}
