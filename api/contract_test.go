package api_test

import (
	"net/http"
	"testing"
)

func checkContract(t *testing.T, req *http.Request, sent string, resp *http.Response, body []byte) {}
