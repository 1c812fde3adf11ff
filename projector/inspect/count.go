package inspect

import (
	"fmt"
	"strconv"
	"strings"
)

// Count is how many of something there are.
func Count(n int, what string) string {
	switch {
	case n == 1:
		return "1 " + what
	case strings.HasSuffix(what, "person"):
		return fmt.Sprintf("%s %speople", Number(n), strings.TrimSuffix(what, "person"))
	case strings.HasSuffix(what, "y"):
		return fmt.Sprintf("%s %sies", Number(n), strings.TrimSuffix(what, "y"))
	case strings.HasSuffix(what, "address"):
		return fmt.Sprintf("%s %ses", Number(n), what)
	}
	return fmt.Sprintf("%s %ss", Number(n), what)
}

// Number is a number as people read it, such as 12,300.
func Number(n int) string {
	text := strconv.Itoa(n)
	for at := len(text) - 3; at > 0 && text[at-1] != '-'; at -= 3 {
		text = text[:at] + "," + text[at:]
	}
	return text
}

// Lasting is how long something takes or took, in its two largest units.
func Lasting(seconds float64) string {
	n := int(max(0, seconds))
	switch days, hours, minutes := n/86400, n/3600%24, n/60%60; {
	case days > 0:
		return Count(days, "day") + " " + Count(hours, "hour")
	case hours > 0:
		return Count(hours, "hour") + " " + Count(minutes, "minute")
	case minutes > 0:
		return Count(minutes, "minute") + " " + Count(n%60, "second")
	}
	if seconds > 0 && n == 0 {
		return "less than a second"
	}
	return Count(n, "second")
}
