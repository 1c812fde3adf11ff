package command

import (
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

// completing is what a shell's script gives before the words that were typed so far.
const completing = "--complete"

// Completion is a command that prints what makes a shell complete the program's commands and
// options. The script asks the program itself, so it never grows old. The libraries that do so for
// kong are not kept up any more.
type Completion struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// Help implements kong.HelpProvider.
func (Completion) Help() string {
	return `Prints a script that makes a shell complete commands, options and the values of some of them. The program has to be on the PATH.

For this shell:
  source <(projector completion bash)
  source <(projector completion zsh)
  projector completion fish | source

For every one: put that line into ~/.bashrc, ~/.zshrc (after compinit) or ~/.config/fish/config.fish.
It is the same for the other programs.`
}

// scripts are by their shell. The last word is the one that is being typed, perhaps an empty one.
var scripts = map[string]string{
	"bash": `_NAME() {
  local IFS=$'\n'
  COMPREPLY=($(NAME --complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o default -F _NAME NAME
`,
	"zsh": `#compdef NAME
_NAME() {
  local -a all
  all=("${(@f)$(NAME --complete "${(@)words[2,CURRENT]}" 2>/dev/null)}")
  if [[ -n $all[1] ]]; then compadd -a all; else _files; fi
}
compdef _NAME NAME
`,
	"fish": `complete -c NAME -f -a '(NAME --complete (commandline -opc)[2..] "$(commandline -ct)" 2>/dev/null)'
`,
}

// Run prints the script.
func (c *Completion) Run(k *kong.Context) error {
	_, err := fmt.Fprint(k.Stdout, strings.ReplaceAll(scripts[c.Shell], "NAME", k.Model.Name))
	return err
}

// Suggester is a command that knows values of its options, by their names.
type Suggester interface{ Suggest() map[string][]string }

// candidates are what the last of the words that were typed may become.
func candidates(program *kong.Node, typed []string) (all []string) {
	typed = slices.Clone(typed)
	if len(typed) == 0 {
		typed = []string{""}
	}
	if last := &typed[len(typed)-1]; *last == "=" { // bash takes it for a word of its own
		*last = ""
	}
	typed = slices.DeleteFunc(typed, func(word string) bool { return word == "=" })
	nodes := []*kong.Node{program} // the command, and the one that is meant where none is typed
	if program.DefaultCmd != nil {
		nodes = append(nodes, program.DefaultCmd)
	}
	var asked *kong.Flag // whose value is to come
	for _, word := range typed[:len(typed)-1] {
		if asked != nil { // the word is its value
			asked = nil
			continue
		}
		asked = takesValue(nodes, word)
		for _, node := range nodes {
			at := slices.IndexFunc(node.Children, func(child *kong.Node) bool { return child.Name == word })
			if at >= 0 {
				nodes = []*kong.Node{node.Children[at]}
				if of := nodes[0].DefaultCmd; of != nil {
					nodes = append(nodes, of)
				}
				break
			}
		}
	}
	word := typed[len(typed)-1]
	switch flag, _, given := strings.Cut(word, "="); {
	case asked != nil:
		all = values(nodes, asked, "")
	case given && strings.HasPrefix(flag, "-"):
		if asked = takesValue(nodes, flag); asked != nil {
			all = values(nodes, asked, flag+"=")
		}
	case strings.HasPrefix(word, "-"):
		for _, node := range nodes {
			for _, group := range node.AllFlags(true) {
				for _, flag := range group {
					all = append(all, "--"+flag.Name)
				}
			}
		}
	default:
		for _, node := range nodes {
			for _, child := range node.Children {
				if !child.Hidden {
					all = append(all, child.Name)
				}
			}
			for _, argument := range node.Positional {
				if argument.Enum != "" {
					all = append(all, argument.EnumSlice()...)
				}
			}
		}
	}
	all = slices.DeleteFunc(all, func(candidate string) bool { return !strings.HasPrefix(candidate, word) })
	slices.Sort(all)
	return slices.Compact(all)
}

// takesValue is the flag that a word names, if its value has to follow.
func takesValue(nodes []*kong.Node, word string) *kong.Flag {
	for _, node := range nodes {
		for _, group := range node.AllFlags(true) {
			for _, flag := range group {
				if "--"+flag.Name == word && !flag.IsBool() {
					return flag
				}
			}
		}
	}
	return nil
}

// values are those that are known of a flag.
func values(nodes []*kong.Node, flag *kong.Flag, before string) (all []string) {
	var known []string
	if flag.Enum != "" {
		known = flag.EnumSlice()
	}
	for _, node := range nodes {
		if node.Target.IsValid() && node.Target.CanAddr() {
			if suggester, is := node.Target.Addr().Interface().(Suggester); is {
				known = append(known, suggester.Suggest()[flag.Name]...)
			}
		}
	}
	for _, value := range known {
		all = append(all, before+value)
	}
	return all
}
