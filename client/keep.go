package client

import "encoding/json"

// unknown are the fields of an object that a newer server sends and this client does not know. They are kept, so that reading a rule, changing it and putting
// it back loses none: a matcher without one of its fields would fit more than it should.
type unknown map[string]json.RawMessage

// decodeKeeping decodes an object into known, and returns the fields that known does not have.
func decodeKeeping(b []byte, known any) (unknown, error) {
	if err := json.Unmarshal(b, known); err != nil {
		return nil, err
	}
	var all unknown
	if err := json.Unmarshal(b, &all); err != nil {
		return nil, err
	}
	again, err := json.Marshal(known)
	if err != nil {
		return nil, err
	}
	var have map[string]json.RawMessage
	if err := json.Unmarshal(again, &have); err != nil {
		return nil, err
	}
	for name := range have {
		delete(all, name)
	}
	if len(all) == 0 {
		return nil, nil
	}
	return all, nil
}

// encodeKeeping encodes known with the fields that it does not have.
func encodeKeeping(known any, more unknown) ([]byte, error) {
	b, err := json.Marshal(known)
	if err != nil || len(more) == 0 {
		return b, err
	}
	var all unknown
	if err := json.Unmarshal(b, &all); err != nil {
		return nil, err
	}
	for name, value := range more {
		if _, ok := all[name]; !ok {
			all[name] = value
		}
	}
	return json.Marshal(all)
}
