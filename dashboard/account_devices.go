package dashboard

import (
	"net/http"

	"github.com/bindgate/bindgate/client"
)

// accountDevices is the part that shows an account's devices.
type accountDevices struct {
	*accountFrame
	Rows     []client.Device
	Register deviceForm // of the form that registers one
	Problem  *problem   // of that form
}

// deviceForm is what a device is called, or is to be.
type deviceForm struct{ KnownBy, Value, Name, Platform string }

func (v *visit) accountDevices(f *accountFrame, form *deviceForm, wrong *problem) error {
	p := &accountDevices{accountFrame: f, Register: deviceForm{KnownBy: "resource"}, Problem: wrong}
	if form != nil {
		p.Register = *form
	}
	var err error
	if p.Rows, err = v.devicesOf(f.JID); err != nil {
		return err
	}
	status := http.StatusOK
	if wrong != nil {
		status = http.StatusUnprocessableEntity
	}
	return v.render(status, "account_devices", p)
}

func (d *Dashboard) registerDevice(v *visit) error {
	defer v.within(pageTimeout)()
	f, err := v.accountFrame()
	if err != nil {
		return err
	}
	form := deviceForm{oneOf(v.form("known_by"), "resource", "user_agent_id"), v.form("value"), v.form("name"), v.form("platform")}
	r := client.Registration{Resource: form.Value}
	if form.KnownBy == "user_agent_id" {
		r = client.Registration{UserAgentID: form.Value}
	}
	if form.Name != "" {
		r.Name = client.Set(form.Name)
	}
	if form.Platform != "" {
		r.Platform = client.Set(form.Platform)
	}
	_, err = v.api().RegisterDevice(v.once(), f.JID, r)
	if wrong := problemOf(err); wrong != nil {
		return v.accountDevices(f, &form, wrong)
	} else if err != nil {
		return err
	}
	v.done("account.device.registered")
	return v.toAccount(f.JID, "devices")
}

// accountDevice is a question about one device.
type accountDevice struct {
	*accountFrame
	Device  *client.Device
	Name    string
	Kind    string // its platform, "": what its client looks like
	Problem *problem
}

func (v *visit) device() (*accountDevice, error) {
	f, err := v.accountFrame()
	if err != nil {
		return nil, err
	}
	f.Live = nil
	d, err := v.api().GetDevice(v.ctx, f.JID, v.r.FormValue("id"))
	if err != nil {
		return nil, err
	}
	return &accountDevice{accountFrame: f, Device: d, Name: d.Name, Kind: d.Platform}, nil
}

func (d *Dashboard) askDevice(v *visit) error {
	defer v.within(pageTimeout)()
	p, err := v.device()
	if err != nil {
		return err
	}
	return v.render(http.StatusOK, "account_device", p)
}

// changeDevice names a device. What is empty is unset.
func (d *Dashboard) changeDevice(v *visit) error {
	defer v.within(pageTimeout)()
	p, err := v.device()
	if err != nil {
		return err
	}
	p.Name, p.Kind = v.form("name"), v.form("platform")
	change := client.DeviceChange{Name: orNull(p.Name)}
	if p.Kind != p.Device.Platform {
		change.Platform = orNull(p.Kind)
	}
	_, err = v.api().ChangeDevice(v.once(), p.JID, p.Device.ID, change)
	if p.Problem = problemOf(err); p.Problem != nil {
		return v.render(http.StatusUnprocessableEntity, "account_device", p)
	} else if err != nil {
		return err
	}
	v.done("account.device.changed")
	return v.toAccount(p.JID, "devices")
}

func orNull(s string) client.Optional[string] {
	if s == "" {
		return client.Null[string]()
	}
	return client.Set(s)
}

func (d *Dashboard) askBlock(v *visit) error {
	defer v.within(pageTimeout)()
	p, err := v.device()
	if err != nil {
		return err
	}
	return v.render(http.StatusOK, "account_block", p)
}

// blockDevice blocks a device, which also ends its sessions, or lets it in again.
func (d *Dashboard) blockDevice(v *visit) error {
	defer v.within(pageTimeout)()
	p, err := v.device()
	if err != nil {
		return err
	}
	block := v.form("block") != ""
	if _, err := v.api().ChangeDevice(v.once(), p.JID, p.Device.ID, client.DeviceChange{Blocked: client.Set(block)}); err != nil {
		return err
	}
	if block {
		v.done("account.device.blocked")
	} else {
		v.done("account.device.unblocked")
	}
	return v.toAccount(p.JID, "devices")
}

func (d *Dashboard) askForget(v *visit) error {
	defer v.within(pageTimeout)()
	p, err := v.device()
	if err != nil {
		return err
	}
	return v.render(http.StatusOK, "account_forget", p)
}

func (d *Dashboard) forgetDevice(v *visit) error {
	defer v.within(pageTimeout)()
	p, err := v.device()
	if err != nil {
		return err
	}
	if err := v.api().ForgetDevice(v.once(), p.JID, p.Device.ID); err != nil {
		return err
	}
	v.done("account.device.forgotten")
	return v.toAccount(p.JID, "devices")
}
