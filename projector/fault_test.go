package projector_test

import (
	"context"
	"errors"
	"sync"
	"time"

	"casdelius/projector"
	"casdelius/projector/postgres"
	"casdelius/store"
)

var errKilled = errors.New("killed")

// fault is a database whose user is killed after a number of calls: no later one gets
// through. Before every step something happens beside.
type fault struct {
	*postgres.Database
	left   int // calls; negative for no end
	beside func()

	mu sync.Mutex
}

// Ports implements what on wants.
func (f *fault) Ports() projector.Ports {
	return projector.Ports{Inbox: f, Mender: f, Due: f, Steps: f, People: f.People, Finder: f.People, Locks: f}
}

func (f *fault) call() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.left == 0 {
		return errKilled
	}
	f.left--
	return nil
}

func (f *fault) kill() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.left = 0
}

func (f *fault) Load(ctx context.Context, messages []store.Stored) error {
	if err := f.call(); err != nil {
		return err
	}
	return f.Database.Load(ctx, messages)
}

func (f *fault) MarkDue(ctx context.Context, referrals []store.Referral) error {
	if err := f.call(); err != nil {
		return err
	}
	return f.Database.MarkDue(ctx, referrals)
}

func (f *fault) Begin(ctx context.Context, selection projector.Selection) (projector.Step, error) {
	f.beside()
	if err := f.call(); err != nil {
		return nil, err
	}
	step, err := f.Database.Begin(ctx, selection)
	return &faultyStep{step, f}, err
}

func (f *fault) LockRebuild(ctx context.Context, by string, restart bool, now time.Time) (projector.RebuildLock, projector.Bookmark, error) {
	lock, at, err := f.Database.LockRebuild(ctx, by, restart, now)
	return &faultyLock{lock, f}, at, err
}

type faultyStep struct {
	projector.Step
	*fault
}

func (s *faultyStep) Apply(ctx context.Context, decisions []projector.Decision, now time.Time) (projector.Applied, error) {
	if err := s.call(); err != nil {
		return projector.Applied{}, err
	}
	applied, err := s.Step.Apply(ctx, decisions, now)
	return applied, errors.Join(err, s.call())
}

type faultyLock struct {
	projector.RebuildLock
	*fault
}

func (l *faultyLock) Reached(ctx context.Context, at projector.Bookmark) error {
	if err := l.call(); err != nil {
		return err
	}
	return l.RebuildLock.Reached(ctx, at)
}
