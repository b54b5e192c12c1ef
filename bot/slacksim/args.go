package slacksim

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"strconv"
	"strings"
)

// args are a call's arguments: strings from a form, any JSON value from JSON.
type args map[string]any

const maxBody = 4 << 20

// parseArgs reads arguments from the query, a form or a JSON body, and the token
// from the Authorization header or a form's token field, as Slack does.
func parseArgs(r *http.Request) (args, string, error) {
	r.Body = http.MaxBytesReader(nil, r.Body, maxBody)
	out := args{}
	for k, v := range r.URL.Query() {
		out[k] = v[0]
	}
	if err := out.body(r); err != nil {
		return nil, "", err
	}
	token, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !bearer {
		token = ""
		if !isJSON(r) { // a token inside a JSON body is ignored
			token = out.str("token")
		}
	}
	delete(out, "token")
	return out, token, nil
}

func isJSON(r *http.Request) bool { return contentType(r) == "application/json" }

func contentType(r *http.Request) string {
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")) // "" when missing or broken
	return kind
}

func (a args) body(r *http.Request) error {
	switch contentType(r) {
	case "application/json":
		return a.json(r.Body)
	case "multipart/form-data":
		if err := r.ParseMultipartForm(maxBody); err != nil {
			return fail("invalid_form_data")
		}
	case "application/x-www-form-urlencoded":
		if err := r.ParseForm(); err != nil {
			return fail("invalid_form_data")
		}
	default:
		return a.noBody(r)
	}
	for k, v := range r.PostForm {
		a[k] = v[0]
	}
	return nil
}

func (a args) json(body io.Reader) error {
	raw, err := io.ReadAll(body)
	if err != nil {
		return fail("request_timeout")
	}
	if len(bytes.TrimSpace(raw)) == 0 {
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var top any
	if dec.Decode(&top) != nil || dec.Decode(&struct{}{}) != io.EOF {
		return fail("invalid_json")
	}
	m, ok := top.(map[string]any)
	if !ok {
		return fail("json_not_object")
	}
	maps.Copy(a, m)
	return nil
}

func (a args) noBody(r *http.Request) error {
	if r.Method == http.MethodGet || r.ContentLength == 0 {
		return nil
	}
	if r.Header.Get("Content-Type") == "" {
		return fail("missing_post_type")
	}
	return fail("invalid_post_type")
}

func (a args) has(key string) bool { v, ok := a[key]; return ok && v != nil }

func (a args) str(key string) string {
	switch v := a[key].(type) {
	case nil:
		return ""
	case string:
		return v
	default:
		return fmt.Sprint(v)
	}
}

func (a args) flag(key string) bool {
	switch strings.ToLower(a.str(key)) {
	case "1", "true":
		return true
	}
	return false
}

// number reads an optional whole number.
func (a args) number(key string, fallback int) (int, error) {
	if a.str(key) == "" {
		return fallback, nil
	}
	n, err := strconv.Atoi(a.str(key))
	if err != nil {
		return 0, invalidArguments(fmt.Sprintf("must be an integer [json-pointer:/%s]", key))
	}
	return n, nil
}

// need refuses a call in which one of the keys is missing or empty.
func (a args) need(keys ...string) error {
	var messages []string
	for _, k := range keys {
		if a.str(k) == "" {
			messages = append(messages, "[ERROR] missing required field: "+k)
		}
	}
	if messages == nil {
		return nil
	}
	return &apiError{code: "invalid_arguments", messages: messages}
}

var errNoValue = errors.New("no value")

// structured reads an argument that is JSON, given as a value in a JSON body or
// as text in a form. It returns errNoValue when the argument is missing.
func (a args) structured(key string) (any, error) {
	if !a.has(key) {
		return nil, errNoValue
	}
	text, isText := a[key].(string)
	if !isText {
		return a[key], nil
	}
	if strings.TrimSpace(text) == "" {
		return nil, errNoValue
	}
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, fmt.Errorf("argument %s is not JSON: %w", key, err)
	}
	return v, nil
}
