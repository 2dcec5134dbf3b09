// Package prompts holds the texts that hosts offer to people for starting work
// with Berth. Each is a Markdown file with a YAML head that names its
// arguments; {{.name}} in the text stands for an argument.
package prompts

import (
	"bytes"
	"embed"
	"fmt"
	"io/fs"
	"strings"
	"text/template"

	"gopkg.in/yaml.v3"
)

//go:embed *.md
var files embed.FS

// maxArgument bounds an argument's value, in bytes.
const maxArgument = 4096

// Prompt is a text with arguments.
type Prompt struct {
	Name        string     `yaml:"-"`
	Title       string     `yaml:"title"`
	Description string     `yaml:"description"`
	Arguments   []Argument `yaml:"arguments"`

	text *template.Template
}

// Argument is something that a prompt's text is completed with.
type Argument struct {
	Name        string `yaml:"name"`
	Description string `yaml:"description"`
	Required    bool   `yaml:"required"`
	Default     string `yaml:"default"`
}

// All are the prompts, by name. An error is a defect of their files.
func All() ([]Prompt, error) {
	names, err := fs.Glob(files, "*.md")
	if err != nil {
		return nil, err
	}
	list := make([]Prompt, 0, len(names))
	for _, name := range names {
		text, err := files.ReadFile(name)
		if err != nil {
			return nil, err
		}
		p, err := parse(strings.TrimSuffix(name, ".md"), text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		list = append(list, p)
	}
	return list, nil
}

func parse(name string, text []byte) (Prompt, error) {
	head, body, ok := strings.Cut(strings.TrimPrefix(string(text), "---\n"), "\n---\n")
	if !ok {
		return Prompt{}, fmt.Errorf("no head between lines of ---")
	}
	p := Prompt{Name: name}
	dec := yaml.NewDecoder(strings.NewReader(head))
	dec.KnownFields(true)
	if err := dec.Decode(&p); err != nil {
		return Prompt{}, err
	}
	var err error
	p.text, err = template.New(name).Option("missingkey=error").Parse(strings.TrimSpace(body))
	return p, err
}

// ArgumentError says what is wrong with the arguments of a prompt.
type ArgumentError struct{ text string }

// Error implements error.
func (e *ArgumentError) Error() string { return e.text }

func wrong(format string, args ...any) error { return &ArgumentError{fmt.Sprintf(format, args...)} }

// Render completes the text. It refuses arguments that are missing, unknown or
// longer than 4096 bytes by an *ArgumentError.
func (p Prompt) Render(given map[string]string) (string, error) {
	values := make(map[string]string, len(p.Arguments))
	for _, a := range p.Arguments {
		v := given[a.Name]
		switch {
		case v == "" && a.Required:
			return "", wrong("the prompt %s needs the argument %s: %s", p.Name, a.Name, a.Description)
		case v == "":
			v = a.Default
		case len(v) > maxArgument:
			return "", wrong("the argument %s is longer than %d bytes", a.Name, maxArgument)
		}
		values[a.Name] = v
	}
	for name := range given {
		if _, known := values[name]; !known {
			return "", wrong("the prompt %s has no argument %q", p.Name, name)
		}
	}
	var b bytes.Buffer
	if err := p.text.Execute(&b, values); err != nil {
		return "", fmt.Errorf("the prompt %s: %w", p.Name, err)
	}
	return b.String(), nil
}
