// Package schematest keeps the JSON schemas of what commands print, docs/json, in step with the
// types that are printed, and holds real output against them.
package schematest

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	reflector "github.com/invopop/jsonschema"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Commands are the values that each command of a program prints with --json, one a line.
type Commands map[string][]any

// Folder is where the schemas are, from a program's package.
const Folder = "../../docs/json"

func file(program, command string) string {
	return filepath.Join(Folder, program+"-"+strings.ReplaceAll(command, " ", "-")+".schema.json")
}

// Check demands that each schema says what the types say, and that every command with --json has
// one. With rewrite it writes them.
func (c Commands) Check(tb testing.TB, program string, cli any, rewrite bool) {
	tb.Helper()
	parser, err := kong.New(cli, kong.Name(program))
	if err != nil {
		tb.Fatal(err)
	}
	for _, node := range parser.Model.Leaves(false) {
		for _, flag := range node.Flags {
			if flag.Name == "json" && c[node.Path()] == nil {
				tb.Errorf("%s %s has --json and no schema", program, node.Path())
			}
		}
	}
	for command, lines := range c {
		want, err := schema(program, command, lines)
		if err != nil {
			tb.Fatal(err)
		}
		if rewrite {
			if err := os.WriteFile(file(program, command), want, 0o600); err != nil {
				tb.Fatal(err)
			}
		}
		have, err := os.ReadFile(file(program, command))
		if err != nil {
			tb.Fatal(err)
		}
		if string(have) != string(want) {
			tb.Errorf("%s is not what %s %s prints: go test ./cmd/%s -run Schema -update", file(program, command), program, command, program)
		}
	}
}

// schema is that of a line, which is one of several types.
func schema(program, command string, lines []any) ([]byte, error) {
	comments := map[string]string{}
	var lineIs []map[string]string
	definitions := reflector.Definitions{}
	for _, line := range lines {
		r := reflector.Reflector{Anonymous: true}
		for _, dir := range []string{".", "../../projector/inspect"} {
			if err := r.AddGoComments("x", dir); err != nil {
				return nil, err
			}
		}
		for name, text := range r.CommentMap {
			comments[name[strings.LastIndex(name, "/")+1:]] = strings.ReplaceAll(text, "\n", " ")
		}
		r.CommentMap, r.LookupComment = nil, func(t reflect.Type, field string) string {
			name := t.Name()
			if at := strings.LastIndex(t.PkgPath(), "/"); t.PkgPath() != "main" && !strings.HasPrefix(t.PkgPath(), "casdelius/cmd/") {
				name = t.PkgPath()[at+1:] + "." + name
			} else {
				name = "x." + name
			}
			return comments[strings.TrimSuffix(name+"."+field, ".")]
		}
		one := r.Reflect(line)
		maps.Copy(definitions, one.Definitions)
		lineIs = append(lineIs, map[string]string{"$ref": one.Ref})
	}
	out, err := json.MarshalIndent(map[string]any{
		"$schema": "https://json-schema.org/draft/2020-12/schema", "title": fmt.Sprintf("A line of %s %s --json", program, command),
		"anyOf": lineIs, "$defs": definitions,
	}, "", "  ")
	return append(out, '\n'), err
}

// Lines demands that a command's output is what its schema says, if the arguments ask for JSON.
func (c Commands) Lines(tb testing.TB, program string, args []string, output string) {
	tb.Helper()
	if !slices.Contains(args, "--json") || output == "" {
		return
	}
	command := ""
	for name := range c {
		words := strings.Fields(name)
		said := len(words) <= len(args) && slices.Equal(words, args[:len(words)])
		if said || command == "" && words[0] == args[0] && strings.HasPrefix(args[1], "-") { // the default of several
			command = name
		}
	}
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	compiled, err := compiler.Compile(file(program, command))
	if err != nil {
		tb.Fatal(err)
	}
	for line := range strings.Lines(output) {
		value, err := jsonschema.UnmarshalJSON(strings.NewReader(line))
		if err == nil {
			err = compiled.Validate(value)
		}
		if err != nil {
			tb.Errorf("%s %s: %s is not what its schema says: %v", program, strings.Join(args, " "), line, err)
		}
	}
}
