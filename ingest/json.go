package ingest

import (
	"bytes"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// maxDepth bounds the levels of JSON; real notifications have 4, details 5.
const maxDepth = 64

var byteOrderMark = []byte("\ufeff")

// members are those of a JSON object, by name.
type members map[string]jsontext.Value

// strictObject reads what has to be one JSON object, at no depth with two members of one
// name. A lone surrogate in a text becomes U+FFFD.
func strictObject(b []byte) (members, error) {
	if err := checkDepth(b); err != nil {
		return nil, err
	}
	return readObject(b, jsontext.AllowInvalidUTF8(true))
}

// jackson are the options by which JSON is read as CAS's own consumers read it, once its
// bytes are known to be UTF-8: of two members of one name the last counts, and a lone
// surrogate becomes U+FFFD.
var jackson = json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))

// lenientObject reads a JSON object as Jackson does, a byte order mark in front too.
func lenientObject(b []byte) (members, error) {
	return readObject(bytes.TrimPrefix(b, byteOrderMark), jackson)
}

func readObject(b []byte, options json.Options) (members, error) {
	if !utf8.Valid(b) {
		return nil, errors.New("it is not UTF-8")
	}
	var m members
	if err := json.Unmarshal(b, &m, options); err != nil {
		return nil, err
	}
	if m == nil {
		return nil, errors.New("it is null")
	}
	return m, nil
}

// checkDepth refuses what is nested deeper than anything that CAS sends. It only
// counts brackets outside strings: whether they match is for the decoder to say.
func checkDepth(b []byte) error {
	depth, quoted := 0, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{', c == '[':
			if depth++; depth > maxDepth {
				return fmt.Errorf("JSON is nested deeper than %d levels", maxDepth)
			}
		case c == '}', c == ']':
			depth--
		}
	}
	return nil
}

// absent says whether a member is not there, or null, which is the same.
func absent(v jsontext.Value) bool { return len(v) == 0 || v.Kind() == jsontext.KindNull }

// optionalText is a member that has to be a text if it is there.
func optionalText(of members, name string) (s string, given bool, err error) {
	v := of[name]
	switch {
	case absent(v):
		return "", false, nil
	case v.Kind() != jsontext.KindString:
		return "", true, fmt.Errorf("%s is not a text: %s", name, clip(string(v), 40))
	}
	return text(v), true, nil
}

// object is the members of the JSON object that v is, none if it is something else.
func object(v jsontext.Value) members {
	var m members
	if v.Kind() != jsontext.KindBeginObject || json.Unmarshal(v, &m, jackson) != nil {
		return nil
	}
	return m
}

// list is the elements of the JSON array that v is, none if it is something else.
func list(v jsontext.Value) []jsontext.Value {
	var elements []jsontext.Value
	if v.Kind() != jsontext.KindBeginArray || json.Unmarshal(v, &elements, jackson) != nil {
		return nil
	}
	return elements
}

// text is the string that v is, "" if it is something else.
func text(v jsontext.Value) string {
	var s string
	if v.Kind() != jsontext.KindString || json.Unmarshal(v, &s, jackson) != nil {
		return ""
	}
	return s
}
