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

// readStrictly reads what has to be one JSON object, at no depth with two members of one
// name, into a struct of [jsontext.Value]s. A lone surrogate in a text becomes U+FFFD.
func readStrictly(b []byte, into any) error {
	if err := checkDepth(b); err != nil {
		return err
	}
	return readObject(b, into, jsontext.AllowInvalidUTF8(true))
}

// jackson are the options by which JSON is read as CAS's own consumers read it, once its
// bytes are known to be UTF-8: of two members of one name the last counts, and a lone
// surrogate becomes U+FFFD.
var jackson = json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))

// readLikeJackson reads a JSON object as Jackson does, a byte order mark in front too.
func readLikeJackson(b []byte, into any) error {
	return readObject(bytes.TrimPrefix(b, byteOrderMark), into, jackson)
}

func readObject(b []byte, into any, options json.Options) error {
	if !utf8.Valid(b) {
		return errors.New("it is not UTF-8")
	}
	if jsontext.Value(bytes.TrimLeft(b, " \t\r\n")).Kind() == jsontext.KindNull {
		return errors.New("it is null")
	}
	return unquoted(json.Unmarshal(b, into, options))
}

// unquoted is an error of the JSON library without its text, which quotes what it stumbled over:
// a few words of somebody's notes, perhaps.
func unquoted(err error) error {
	if err == nil {
		return nil
	}
	what := "it is not valid JSON"
	if errors.Is(err, jsontext.ErrDuplicateName) {
		what = "an object has two members of one name"
	}
	if syntactic, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		return fmt.Errorf("%s, at byte %d", what, syntactic.ByteOffset)
	}
	if semantic, ok := errors.AsType[*json.SemanticError](err); ok {
		return fmt.Errorf("it is a JSON %s and no object", kinds[semantic.JSONKind])
	}
	return errors.New(what)
}

// kinds are what a JSON value can be, for a person.
var kinds = map[jsontext.Kind]string{
	jsontext.KindNull: "null", jsontext.KindTrue: "boolean", jsontext.KindFalse: "boolean", jsontext.KindString: "text",
	jsontext.KindNumber: "number", jsontext.KindBeginObject: "object", jsontext.KindBeginArray: "list",
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
func optionalText(name string, v jsontext.Value) (s string, given bool, err error) {
	switch {
	case absent(v):
		return "", false, nil
	case v.Kind() != jsontext.KindString:
		return "", true, fmt.Errorf("%s is not a text but a %s", name, kinds[v.Kind()])
	}
	return text(v), true, nil
}

// object is a struct of the members of the JSON object that v is, empty if it is
// something else.
func object[T any](v jsontext.Value) (members T) {
	if v.Kind() == jsontext.KindBeginObject {
		_ = json.Unmarshal(v, &members, jackson) // it is valid
	}
	return members
}

// list is the elements of the JSON array that v is, none if it is something else.
func list(v jsontext.Value) (elements []jsontext.Value) {
	if v.Kind() == jsontext.KindBeginArray {
		_ = json.Unmarshal(v, &elements, jackson) // it is valid
	}
	return elements
}

// text is the string that v is, "" if it is something else.
func text(v jsontext.Value) string {
	if v.Kind() != jsontext.KindString {
		return ""
	}
	s, _ := jsontext.AppendUnquote(nil, v) // it fails only for lone surrogates, once it has replaced them
	return string(s)
}
