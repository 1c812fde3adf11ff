package store_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"casdelius/store"
)

// Catches a URL that is told as it came, one that is cut at its first @ only, and one whose
// path loses an @ of its own.
func TestAURLIsToldWithoutWhatMayBeSecret(t *testing.T) {
	t.Parallel()
	for url, told := range map[string]string{
		"https://cas.example/events/cas3/person-arrived/1":                    "https://cas.example/events/cas3/person-arrived/1",
		"HTTP://127.0.0.1:8443/events?token=secret":                           "HTTP://127.0.0.1:8443/events",
		"https://[::1]:8443/events#secret":                                    "https://[::1]:8443/events",
		"https://cas.example/events#a?token=secret":                           "https://cas.example/events",
		"https://user:secret@cas.example/events/a@b":                          "https://cas.example/events/a@b",
		"https://user:sec@ret@cas.example":                                    "https://cas.example",
		"https://user:secret@cas.example?token=\nsecret":                      "https://cas.example",
		"https://cas.example/events?next=https://user:secret@cas.example/two": "https://cas.example/events",

		"": "", "nowhere": "", "user:secret@cas.example/events": "", "//user:secret@cas.example/events": "",
		`https:\\user:secret@cas.example`: "", `https://user\:secret@cas.example`: "", "https://user:sec/ret@cas.example": "",
	} {
		require.Equal(t, told, store.PublicURL(url), url)
	}
}
