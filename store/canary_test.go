package store_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"casdelius/store"
)

// Catches a canary that stands where events or person events do, or that loses a time.
func TestACanaryIsReadAsItWasStored(t *testing.T) {
	t.Parallel()
	c := store.NewCanary(time.Date(2026, 7, 9, 12, 0, 0, 1999, time.UTC))
	c.Received = c.Sent.Add(time.Second)
	read, err := store.ParseCanary(c.Subject(), c.Body())
	require.NoError(t, err)
	require.Equal(t, c, read)
	require.True(t, store.IsCanarySubject(c.Subject()))
	require.False(t, store.IsPersonSubject(c.Subject()))
	_, _, err = store.ParseSubject(c.Subject())
	require.Error(t, err)
	_, err = store.ParseEvent(c.Subject(), nil, c.Body())
	require.Error(t, err)
}

func TestWhatIsNoCanaryIsRefused(t *testing.T) {
	t.Parallel()
	c := store.NewCanary(time.Now())
	for _, subject := range []string{"cas.events.canary.", "cas.events.canary.x", "cas.events.cas2." + c.ID, c.Subject() + ".x"} {
		_, err := store.ParseCanary(subject, c.Body())
		require.Error(t, err, subject)
	}
	for _, body := range []string{"", "{}", `{"sent":"soon","received":"2026-01-01T00:00:00Z"}`, `{"sent":"2026-01-01T00:00:00Z"}`} {
		_, err := store.ParseCanary(c.Subject(), []byte(body))
		require.Error(t, err, body)
	}
}
