package postgrestest

import (
	"errors"
	"io"
	"os"
	"strings"
)

// logFile is the cluster's log, which remembers where it stood when it was opened.
type logFile struct {
	*os.File
	start int64
}

func (c *Cluster) openLog() (logFile, error) {
	f, err := os.OpenFile(c.home.log(), os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return logFile{}, err
	}
	info, err := f.Stat()
	if err != nil {
		return logFile{}, errors.Join(err, f.Close())
	}
	return logFile{f, info.Size()}, nil
}

// tail is what was logged since it was opened, at most the last 4 KiB.
func (l logFile) tail() string {
	const most = 4 << 10
	info, err := l.Stat()
	if err != nil {
		return err.Error()
	}
	from := max(l.start, info.Size()-most)
	text, err := io.ReadAll(io.NewSectionReader(l, from, info.Size()-from))
	if err != nil {
		return err.Error()
	}
	return strings.TrimSpace(string(text))
}
