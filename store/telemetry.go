package store

import (
	"regexp"
	"strings"
)

// EventNameField is the field of a log line that makes it a telemetry event: its value is
// the event's name. Azure Monitor's agents and exporters turn a log record with this
// attribute into a custom event of Application Insights of that name, and the line's other
// fields into its properties.
const EventNameField = "microsoft.custom_event.name"

var webURL = regexp.MustCompile(`(?is)^(https?://)(?:[^/?#\\]*@)?((?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]+)?)(/[^?#]*)?(?:[?#].*)?$`)

// PublicURL is a URL as telemetry tells it: without user info, query and fragment, any of
// which may hold a secret. What is no URL of the web is not told at all, as nobody knows
// where in it a secret stands.
func PublicURL(url string) string {
	parts := webURL.FindStringSubmatch(url)
	if parts == nil {
		return ""
	}
	return parts[1] + parts[2] + parts[3]
}

// ShownURL is [PublicURL] for a message to a person, who has to be told something: a text that
// has no place for a secret as it is.
func ShownURL(url string) string {
	switch public := PublicURL(url); {
	case public != "":
		return public
	case strings.ContainsAny(url, "@?#;\\"), strings.Contains(url, ":") && !strings.Contains(url, "://"):
		return "(no web URL)"
	}
	return url
}
