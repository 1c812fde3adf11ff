//go:build torture

package failpoint

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Enabled says whether this program has failpoints.
const Enabled = true

// Kind is what a fault does.
type Kind string

// The kinds.
const (
	Error  Kind = "error"  // of what is done
	Cancel Kind = "cancel" // of the service, as at a stop whose time is over: the context at the point has ended then
	Kill   Kind = "kill"   // of the process, by SIGKILL
	Call   Kind = "call"   // of a function of the test's
)

// ErrInjected is the error of the kind Error.
var ErrInjected = errors.New("injected by a failpoint")

// Fault comes once, at the first passing.
type Fault struct {
	Point Point
	After bool // what the point is of was done; else: is not yet
	Kind  Kind
	Do    func() // of the kind Call
}

// String names the fault, as the variable FAILPOINT does.
func (f Fault) String() string {
	when := "before"
	if f.After {
		when = "after"
	}
	return fmt.Sprintf("%s %s %s", f.Kind, when, f.Point)
}

// Variable is the variable of the environment that arms a process: "kill before commit", say.
const Variable = "FAILPOINT"

// ofProcess is armed by the environment, for services that have no faults of a test's.
var ofProcess = sync.OnceValue(func() *Faults {
	f := &Faults{}
	kind, rest, _ := strings.Cut(os.Getenv(Variable), " ")
	when, point, _ := strings.Cut(rest, " ")
	if point != "" {
		f.Arm(Fault{Point: Point(point), After: when == "after", Kind: Kind(kind)})
	}
	return f
})

// Faults are those of the services of one test.
type Faults struct {
	mu    sync.Mutex
	armed *Fault
	hit   chan struct{}
}

// Arm lets a fault come, in the place of one that has not come yet. What it gives is closed when
// the fault comes.
func (f *Faults) Arm(fault Fault) (hit <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.armed, f.hit = &fault, make(chan struct{})
	return f.hit
}

// take gives the fault that is armed for this moment, to one caller.
func (f *Faults) take(point Point, after bool) *Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	fault := f.armed
	if fault == nil || fault.Point != point || fault.After != after {
		return nil
	}
	f.armed = nil
	close(f.hit)
	return fault
}

// service is what runs in a context: whose faults, and how it is stopped.
type service struct {
	faults *Faults
	cancel context.CancelFunc
}

type key struct{}

// Within gives the context of a service that these faults come to.
func (f *Faults) Within(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	return context.WithValue(ctx, key{}, service{f, cancel}), cancel
}

// Around does something, unless a fault comes before it, or its success is followed by one.
func Around(ctx context.Context, point Point, do func() error) error {
	if err := pass(ctx, point, false); err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	return pass(ctx, point, true)
}

// Between queues statements among two that do nothing but let a fault come.
func Between(ctx context.Context, point Point, queueCall func(now func() error), queue func()) {
	queueCall(func() error { return pass(ctx, point, false) })
	queue()
	queueCall(func() error { return pass(ctx, point, true) })
}

// longestCancel is how long a context may outlive the stop of its service in a test.
const longestCancel = time.Minute

func pass(ctx context.Context, point Point, after bool) error {
	of, inTest := ctx.Value(key{}).(service)
	if !inTest {
		of.faults = ofProcess()
	}
	fault := of.faults.take(point, after)
	if fault == nil {
		return nil
	}
	switch fault.Kind {
	case Error:
		return fmt.Errorf("%s: %w", fault, ErrInjected)
	case Cancel:
		of.cancel()
		select {
		case <-ctx.Done():
			return nil // whatever follows meets it
		case <-time.After(longestCancel):
			return fmt.Errorf("%s: the context does not end", fault)
		}
	case Kill:
		fmt.Fprintln(os.Stderr, fault)
		if err := syscall.Kill(os.Getpid(), syscall.SIGKILL); err != nil {
			panic(err)
		}
		select {}
	case Call:
		fault.Do()
		return nil
	}
	panic("a failpoint of no kind: " + fault.String())
}
