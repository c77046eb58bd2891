package clients

import "testing"

func TestNodeVersion(t *testing.T) {
	t.Parallel()
	for version, ok := range map[string]bool{"v18.20.4": false, "v20.9.0": false, "v20.10.0": true, "v22.1.0": true, "": false} {
		if err := newEnough(version); (err == nil) != ok {
			t.Errorf("%q: %v", version, err)
		}
	}
}
