package cmd_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// ran is how long a run of the program took, and how many bytes of memory at most.
type ran struct {
	took   time.Duration
	memory int64
	out    []byte
}

// run runs a command to its end. Its memory is asked for while it runs: what the system
// says of a process that has ended counts the memory of the process that started it.
func run(b *testing.B, cmd *exec.Cmd) ran {
	b.Helper()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	start := time.Now()
	require.NoError(b, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	r := ran{}
	for every := time.NewTicker(20 * time.Millisecond); ; {
		select {
		case err := <-ended:
			require.NoError(b, err)
			every.Stop()
			r.took, r.out = time.Since(start), out.Bytes()
			return r
		case <-every.C:
			r.memory = max(r.memory, peakMemory(cmd.Process.Pid))
		}
	}
}

// peakMemory is the most memory that a process has had resident so far, in bytes, as
// Linux tells it; 0 if it has ended.
func peakMemory(pid int) int64 {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	_, after, _ := bytes.Cut(status, []byte("VmHWM:"))
	var kibibytes int64
	_, _ = fmt.Sscan(string(after), &kibibytes)
	return kibibytes << 10
}
