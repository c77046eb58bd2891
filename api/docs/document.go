package docs

import (
	"fmt"
	"slices"
	"strings"
)

// document is what the page shows.
type document struct {
	Title, Version, Summary, Description string
	Security                             string // how to authenticate
	Tags                                 []tag
	Problems                             []answer // what many operations answer alike
}

type tag struct {
	Name, Description string
	Operations        []operation
}

type operation struct {
	ID, Method, Path     string
	Summary, Description string
	Scopes               []string
	Open                 bool // no token is needed
	Parameters           []field
	Body                 *content
	Answers              []answer
	Problems             []answer // those of the document's that this operation has
	Request              string   // as a command line
	Examples             []example
	Search               string // what it is found by, in small letters
}

// example is a body, and the answers that have it.
type example struct {
	Statuses string
	Body     fragments
}

type answer struct {
	Status, Name, Description string
	Headers                   []field
	Content                   *content
}

type content struct {
	Type    string
	Shape   field
	Example fragments // nil: none is known
}

var methods = []string{"get", "post", "put", "patch", "delete"}

func read(text []byte) (document, error) {
	s, err := parse(text)
	if err != nil {
		return document{}, err
	}
	info := s.root.at("info")
	doc := document{
		Title: info.at("title").text(), Version: info.at("version").text(), Summary: info.at("summary").text(), Description: info.at("description").text(),
		Security: s.root.at("components", "securitySchemes", "bearer", "description").text(),
	}
	for _, t := range s.root.at("tags").items() {
		doc.Tags = append(doc.Tags, tag{Name: t.at("name").text(), Description: t.at("description").text()})
	}
	for name, response := range s.root.at("components", "responses").pairs {
		if status := problemStatus(s, name); status != "" {
			doc.Problems = append(doc.Problems, answer{Status: status, Name: name, Description: response.at("description").text()})
		}
	}
	slices.SortStableFunc(doc.Problems, func(a, b answer) int { return strings.Compare(a.Status, b.Status) })
	for path, item := range s.root.at("paths").pairs {
		for _, method := range methods {
			op := item.at(method)
			if op.Node == nil {
				continue
			}
			o, err := s.operation(method, path, item, op)
			if err != nil {
				return document{}, fmt.Errorf("%s %s: %w", strings.ToUpper(method), path, err)
			}
			name := op.at("tags").texts()
			i := slices.IndexFunc(doc.Tags, func(t tag) bool { return slices.Contains(name, t.Name) })
			if i < 0 {
				return document{}, fmt.Errorf("%s %s has no tag of the document", strings.ToUpper(method), path)
			}
			doc.Tags[i].Operations = append(doc.Tags[i].Operations, o)
		}
	}
	doc.Tags = slices.DeleteFunc(doc.Tags, func(t tag) bool { return len(t.Operations) == 0 })
	return doc, nil
}

// problemStatus is the status that operations give a shared response which is a problem; "" if it is none.
func problemStatus(s spec, name string) string {
	if !s.root.at("components", "responses", name, "content").has("application/problem+json") {
		return ""
	}
	for _, item := range s.root.at("paths").pairs {
		for _, op := range item.pairs {
			for status, response := range op.at("responses").pairs {
				if response.at("$ref").text() == "#/components/responses/"+name {
					return status
				}
			}
		}
	}
	return ""
}

func (s spec) operation(method, path string, item, op node) (operation, error) {
	o := operation{
		ID: op.at("operationId").text(), Method: strings.ToUpper(method), Path: path, Summary: op.at("summary").text(), Description: op.at("description").text(),
		Open: len(op.at("security").items()) == 0,
	}
	for _, requirement := range op.at("security").items() {
		for _, scopes := range requirement.pairs {
			o.Scopes = append(o.Scopes, scopes.texts()...)
		}
	}
	examples := map[string]string{}
	for _, p := range append(item.at("parameters").items(), op.at("parameters").items()...) {
		p, err := s.follow(p)
		if err != nil {
			return o, err
		}
		f, err := s.field(p.at("name").text(), p.at("schema"), p.at("required").text() == "true", 0)
		if err != nil {
			return o, err
		}
		if d := p.at("description").text(); d != "" {
			f.Description = d
		}
		in := p.at("in").text()
		if in == "path" {
			examples[f.Name] = s.sample(p.at("schema"), 0).text()
		}
		f.Limits = append([]string{"in " + in}, f.Limits...)
		o.Parameters = append(o.Parameters, f)
	}
	if op.has("requestBody") {
		body, err := s.content(op.at("requestBody", "content"))
		if err != nil {
			return o, err
		}
		o.Body = body
	}
	for status, response := range op.at("responses").pairs {
		name := strings.TrimPrefix(response.at("$ref").text(), "#/components/responses/")
		a, err := s.answer(status, response)
		if err != nil {
			return o, err
		}
		if a.Content != nil && a.Content.Type == "application/problem+json" && name != "" {
			o.Problems = append(o.Problems, answer{Status: status, Name: name})
			continue
		}
		o.Answers = append(o.Answers, a)
	}
	o.Request, o.Examples = command(o, examples), shown(o.Answers)
	o.Search = strings.ToLower(strings.Join([]string{o.Method, o.Path, o.Summary, o.ID, strings.Join(o.Scopes, " "), names(o)}, " "))
	return o, nil
}

func (s spec) answer(status string, response node) (answer, error) {
	response, err := s.follow(response)
	if err != nil {
		return answer{}, err
	}
	a := answer{Status: status, Description: response.at("description").text()}
	for name, h := range response.at("headers").pairs {
		if name == "X-Request-Id" { // every response has it, and the introduction says so
			continue
		}
		if h, err = s.follow(h); err != nil {
			return a, err
		}
		f, err := s.field(name, h.at("schema"), false, 0)
		if err != nil {
			return a, err
		}
		f.Description = h.at("description").text()
		a.Headers = append(a.Headers, f)
	}
	a.Content, err = s.content(response.at("content"))
	return a, err
}

// content is the first media type of a body; nil without one.
func (s spec) content(types node) (*content, error) {
	for kind, media := range types.pairs {
		shape, err := s.field("", media.at("schema"), true, 0)
		if err != nil {
			return nil, err
		}
		c := &content{Type: kind, Shape: shape}
		if example := media.at("example"); example.Node != nil {
			c.Example = pretty(example)
		} else if strings.HasSuffix(kind, "json") {
			c.Example = pretty(s.sample(media.at("schema"), 0))
		}
		return c, nil
	}
	return nil, nil //nolint:nilnil // a response may have no body
}

// shown are the examples of answers, each body once.
func shown(answers []answer) []example {
	var all []example
	for _, a := range answers {
		if a.Content == nil || a.Content.Example == nil {
			continue
		}
		i := slices.IndexFunc(all, func(e example) bool { return slices.Equal(e.Body, a.Content.Example) })
		if i < 0 {
			all = append(all, example{a.Status, a.Content.Example})
		} else {
			all[i].Statuses += ", " + a.Status
		}
	}
	return all
}

// names are the fields that an operation takes and gives.
func names(o operation) string {
	var all []string
	var walk func(f field)
	walk = func(f field) {
		if f.Name != "" && !slices.Contains(all, f.Name) {
			all = append(all, f.Name)
		}
		for _, below := range f.Fields {
			walk(below)
		}
	}
	for _, p := range o.Parameters {
		walk(p)
	}
	if o.Body != nil {
		walk(o.Body.Shape)
	}
	for _, a := range o.Answers {
		if a.Content != nil {
			walk(a.Content.Shape)
		}
	}
	return strings.Join(all, " ")
}

// pieces cuts a path up into what is fixed and its parameters.
func pieces(path string) fragments {
	var all fragments
	for path != "" {
		fixed, rest, found := strings.Cut(path, "{")
		all = append(all, fragment{"", fixed})
		if !found {
			break
		}
		name, after, _ := strings.Cut(rest, "}")
		all = append(all, fragment{"k", "{" + name + "}"})
		path = after
	}
	return all
}
