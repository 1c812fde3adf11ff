package torturetest

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// RequireCaught runs a check on something broken and fails unless the check fails, saying
// what is expected of it: a check that fails for another reason has caught nothing.
func RequireCaught(tb testing.TB, saying string, check func(testing.TB)) {
	tb.Helper()
	c := &control{TB: tb}
	done := make(chan struct{})
	go func() { // a failure ends the goroutine that it happens in
		defer close(done)
		check(c)
	}()
	<-done
	switch said := c.said(); {
	case !c.Failed():
		tb.Fatalf("the broken variant was not caught, which should have failed with %q", saying)
	case !strings.Contains(said, saying):
		tb.Fatalf("the broken variant failed, but not with %q:\n%s", saying, said)
	default:
		tb.Logf("caught: %s", saying)
	}
}

// control is a test that is expected to fail: it only remembers how.
type control struct {
	testing.TB // for everything else: its name, its folders, its cleanups

	mu     sync.Mutex
	failed bool
	text   strings.Builder
}

func (c *control) fail(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failed = true
	c.text.WriteString(text)
}

func (c *control) said() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.text.String()
}

// Failed says whether the check has failed so far.
func (c *control) Failed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failed
}

func (c *control) Fail()                          { c.fail("") }
func (c *control) FailNow()                       { c.fail(""); runtime.Goexit() }
func (c *control) Error(args ...any)              { c.fail(fmt.Sprintln(args...)) }
func (c *control) Errorf(format string, a ...any) { c.fail(fmt.Sprintf(format, a...) + "\n") }
func (c *control) Fatal(args ...any)              { c.Error(args...); runtime.Goexit() }
func (c *control) Fatalf(format string, a ...any) { c.Errorf(format, a...); runtime.Goexit() }
