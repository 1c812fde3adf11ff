package store_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"casdelius/store"
)

const someReferral = "3fa85f64-5717-4562-b3fc-2c963f66afa6"

func referral(t testing.TB) store.Referral {
	t.Helper()
	r, err := store.ParseReferral(someReferral)
	require.NoError(t, err)
	return r
}

// someEvent has every attribute.
func someEvent(t testing.TB) store.Event {
	t.Helper()
	return store.Event{
		ID: "ab6b1f1e-0e7a-4c1c-9d7a-1f2e3d4c5b6a", Type: store.PersonArrived, Referral: referral(t),
		CRN: "X123456", NOMS: "A1234BC",
		Emitted:  time.Date(2024, 7, 9, 23, 30, 0, 123456000, time.UTC),
		Occurred: time.Date(2024, 7, 9, 23, 30, 1, 0, time.UTC),
		Received: time.Date(2024, 7, 9, 23, 31, 0, 0, time.UTC),
		Source:   "https://cas.example/events/cas3/person-arrived/ab6b1f1e",
		Body:     []byte(`{"id":"ab6b1f1e","eventDetails":{}}`),
	}
}
