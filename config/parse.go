package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

const (
	largest = 8 << 20 // bytes; a thousand pairs take about 1 MiB
	deepest = 40      // nested brackets or dashes; a real file has 5
)

// Load reads and judges the file at path. The error is an *Error, or that of
// the file system.
func Load(path string) (Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return Config{}, fmt.Errorf("the configuration can't be read: %w", err)
	}
	defer func() { _ = f.Close() }() // opened for reading: nothing is lost
	text, err := io.ReadAll(io.LimitReader(f, largest+1))
	if err != nil {
		return Config{}, fmt.Errorf("the configuration can't be read: %w", err)
	}
	return Parse(text, filepath.Base(path))
}

// Parse reads and judges the text of a file; name stands in its errors. The
// error is always an *Error.
func Parse(text []byte, name string) (Config, error) {
	text = bytes.TrimPrefix(text, []byte("\ufeff")) // some editors begin a file with this mark
	s := newSource(string(text))
	body, ok := s.parse(text)
	if !ok {
		return Config{}, s.err(name)
	}
	s.shape("", start(body), body, reflect.TypeFor[Config]())
	if err := s.err(name); err != nil {
		return Config{}, err
	}
	c := Default()
	if err := yaml.NodeToValue(body, &c, yaml.Strict()); err != nil {
		s.reportYAML(err)
		return Config{}, s.err(name)
	}
	c.fill()
	s.judge(c)
	if err := s.err(name); err != nil {
		return Config{}, err
	}
	return c, nil
}

// parse gives the one document of the file.
func (s *source) parse(text []byte) (body ast.Node, ok bool) {
	if why := unreadable(text); why != "" {
		s.report("", position{}, why, "")
		return nil, false
	}
	// Whatever a file holds, a wrong configuration must end in a sentence. The
	// parser is not ours, and a panic of it is the file's fault.
	defer func() {
		if r := recover(); r != nil {
			s.report("", position{}, "the file can't be understood as YAML", "look for a bracket or quote that is not closed")
			body, ok = nil, false
		}
	}()
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		s.reportYAML(err)
		return nil, false
	}
	return s.only(file)
}

func unreadable(text []byte) string {
	switch {
	case len(text) > largest:
		return fmt.Sprintf("the file is larger than %d MiB", largest>>20)
	case tooDeep(string(text)):
		return fmt.Sprintf("the file is nested deeper than %d levels", deepest)
	}
	return ""
}

// tooDeep guards the parser, whose time grows with the square of the depth and
// which has no limit. It counts roughly: brackets within texts count too.
func tooDeep(text string) bool {
	open := 0
	for line := range strings.Lines(text) {
		if len(line)-len(strings.TrimLeft(line, "-? \t")) > 40*deepest || strings.Count(line, "- - ") > deepest {
			return true
		}
		for _, r := range line {
			switch r {
			case '[', '{':
				open++
			case ']', '}':
				open = max(open-1, 0)
			}
			if open > deepest {
				return true
			}
		}
	}
	return false
}

func (s *source) only(file *ast.File) (ast.Node, bool) {
	var bodies []ast.Node
	for _, doc := range file.Docs {
		if doc.Body != nil {
			bodies = append(bodies, doc.Body)
		}
	}
	switch {
	case len(bodies) == 0:
		s.report("", position{}, "the file is empty", "begin with the sample: bot config sample")
		return nil, false
	case len(bodies) > 1:
		s.report("", start(bodies[1]), "a second document begins here; the file must have one", "remove the line ---")
		return nil, false
	}
	return bodies[0], true
}

// reportYAML adds an error of the parser or decoder.
func (s *source) reportYAML(err error) {
	if y, ok := errors.AsType[yaml.Error](err); ok {
		s.report("", positionOf(y.GetToken()), "the file can't be understood as YAML: "+y.GetMessage(), "")
		return
	}
	s.report("", position{}, "the file can't be understood: "+err.Error(), "")
}
