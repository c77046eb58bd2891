package gate

import "github.com/bindgate/bindgate/store"

// registrationOutcome is what a registration came to.
type registrationOutcome struct {
	Created bool `json:"created"`
}

// auditedDevice is what operators say of a device, as the audit shows it, and by what it is known.
type auditedDevice struct {
	Name        string `json:"name,omitempty"`
	Platform    string `json:"platform,omitempty"`
	Resource    string `json:"resource,omitempty"`
	UserAgentID string `json:"user_agent_id,omitempty"`
	Registered  bool   `json:"registered"`
	Blocked     bool   `json:"blocked"`
}

func operatorsWord(d store.Device) auditedDevice {
	return auditedDevice{d.Name, d.Platform, d.Resource, d.UserAgentID, d.Registered, d.Blocked}
}

func auditDevice(d *store.Device) any { return operatorsWord(*d) }

// changeOf names a change of a device by the most that it does.
func changeOf(before, after store.Device) store.Action {
	switch {
	case after.Blocked && !before.Blocked:
		return store.DeviceBlock
	case before.Blocked && !after.Blocked:
		return store.DeviceUnblock
	}
	return store.DeviceChange
}
