// Command words holds the code to docs/glossary.md: one thing, one word. It reports
// identifiers and texts that use a word which stands for something else, or for nothing any
// more, each with the word to use.
package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// identifiers has words that no declared name may contain, with the word to use, and the
// folders in which the word is the right one.
var identifiers = map[string]struct {
	use    string
	except []string // folders, each for the reason beside it
}{
	"standing":   {"current", []string{"projector/delius/deliustest"}},                                                       // an officer "as it stands": the reference has words of its own
	"memory":     {"applied", []string{"projector/delius/deliustest", "projector/postgres/postgrestest", "store/jetstream"}}, // its own words; a folder in memory; a kind of storage
	"claim":      {"lock, or owner", []string{"projector/delius", "projector/console", "cmd/projector"}},                     // a claim to the main address; what a token says
	"held":       {"stored, or deferred", []string{"ingest", "projector/delius/deliustest", "store/storetest"}},              // a message in hand while the breaker is open
	"busy":       {"deferred", []string{"ingest/sqs"}},                                                                       // SQS answers that it is
	"scope":      {"selection", []string{"projector/console"}},                                                               // what is asked of a provider
	"pick":       {"selection", []string{"store/storetest", "cmd/sandbox"}},                                                  // a choice by dice
	"roll":       {"people", nil},
	"walk":       {"rebuilder", nil},
	"seal":       {"fingerprint", nil},
	"putback":    {"repair", nil},
	"keeper":     {"visibilityExtender", nil},
	"despair":    {"lastDeliveryFailed", nil},
	"heard":      {"lastAnswer", nil},
	"insistence": {"liveAttempts", nil},
	"patience":   {"a limit", []string{"cmd/sandbox", "projector/postgres/postgrestest"}}, // how long nothing may move
	"calm":       {"mostlyUnchanged", nil},
	"pay":        {"throttle", nil},
	"briefly":    {"lockTargetLimited", nil},
	"again":      {"retry, or isTransient", []string{"ingest/sqs", "ingest", "store/jetstream"}}, // what is tried again
	"pile":       {"merged", nil},
	"deal":       {"partition", nil},
}

// texts are what no message, log line, metric or help text may say.
var texts = map[*regexp.Regexp]string{
	regexp.MustCompile(`(?i)\bput(ting)? (it |them |rows )?back\b`):                "repair, or written back",
	regexp.MustCompile(`(?i)\b(bad moment|moment (is|was) bad)\b`):                 "transient error",
	regexp.MustCompile(`(?i)\bput off\b`):                                          "deferred",
	regexp.MustCompile(`(?i)\b(has|have|had) (it|them|their people) in hand\b`):    "locked",
	regexp.MustCompile(`(?i)\b(be|been|was|were) swept\b`):                         "looked at by the sweep",
	regexp.MustCompile(`(?i)\b(seal(ed)?|unsealed|keeper|walk|insistence|calm)\b`): "see the glossary",
}

var words = regexp.MustCompile(`[A-Z]+[a-z0-9]*|[a-z0-9]+`)

func main() {
	found := 0
	report := func(at token.Position, what, word, use string) {
		found++
		fmt.Printf("%s:%d: %s: %q is not the word for it: %s\n", at.Filename, at.Line, what, word, use)
	}
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != "." && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "testdata"):
			return filepath.SkipDir
		case filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		return check(filepath.ToSlash(path), report)
	})
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	case found > 0:
		os.Exit(1)
	}
}

func check(path string, report func(token.Position, string, string, string)) error {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ImportSpec:
			return false
		case *ast.Ident:
			for _, word := range words.FindAllString(n.Name, -1) {
				banned, is := identifiers[strings.ToLower(word)]
				if is && !slices.ContainsFunc(banned.except, func(folder string) bool { return strings.HasPrefix(path, folder+"/") }) {
					report(set.Position(n.Pos()), n.Name, word, banned.use)
				}
			}
		case *ast.BasicLit:
			if strings.Contains(path, "test/") || strings.HasPrefix(path, "store/jetstream/") {
				return true // what people write in generated notes; NATS's names of settings
			}
			for pattern, use := range texts {
				if said := pattern.FindString(n.Value); n.Kind == token.STRING && said != "" {
					report(set.Position(n.Pos()), "a text", said, use)
				}
			}
		}
		return true
	})
	return nil
}
