package adhoc

import (
	"errors"
	"fmt"
	"slices"
)

// Question is a field of a form that is to be filled in.
type Question struct {
	Name    string   // its var
	Type    string   // such as jid-multi; empty: text-single (XEP-0004 §3.3)
	Options []string // the values there are to choose from, of a list
}

// Answers gives the values for a field; false leaves it as the server has set it.
type Answers func(Question) ([]string, bool)

// fields are those of a form; none if there is no form.
func (f *form) fields() []field {
	if f == nil {
		return nil
	}
	return f.Fields
}

// fill answers a form. Fields may come in any order and there may be others than those that are answered: they are sent back with what stands in them, or left
// out if that is nothing. It is an error if the server requires what there is no answer for, or if the form is of another type than service administration.
func (f *form) fill(answer Answers) (*form, error) {
	if f == nil {
		return nil, errors.New("the command is not done but asks for nothing")
	}
	out := &form{Kind: "submit"}
	for _, q := range f.Fields {
		switch {
		case q.Name == "": // of type fixed: a remark
			continue
		case q.Name == "FORM_TYPE":
			if !slices.Equal(q.Values, []string{nsAdmin}) {
				return nil, fmt.Errorf("the form is of type %.80q, not %s", q.Values, nsAdmin)
			}
			out.Fields = append(out.Fields, field{Name: q.Name, Type: "hidden", Values: q.Values})
			continue
		}
		options := make([]string, 0, len(q.Options))
		for _, o := range q.Options {
			options = append(options, o.Value)
		}
		values, ok := answer(Question{Name: q.Name, Type: q.Type, Options: options})
		if !ok {
			values = q.Values
		}
		if len(values) == 0 || slices.Equal(values, []string{""}) {
			if q.Required != nil {
				return nil, fmt.Errorf("the form requires %.80q, which is not known what to say to", q.Name)
			}
			continue
		}
		out.Fields = append(out.Fields, field{Name: q.Name, Values: values})
	}
	return out, nil
}
