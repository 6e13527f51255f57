package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// nginxIngressController is the custom resource definition that AKS installs with its application routing add-on.
//
//go:embed approuting.yaml
var nginxIngressController []byte

const (
	definitionPath  = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/nginxingresscontrollers.approuting.kubernetes.azure.com"
	controllersPath = "/apis/approuting.kubernetes.azure.com/v1alpha1/nginxingresscontrollers"
	askAgain        = 25 * time.Millisecond
	requestTimeout  = 2 * time.Second
)

type apiClient struct {
	cluster *cluster
	http    *http.Client
}

func newAPIClient(c *cluster) *apiClient {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(c.authority)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	return &apiClient{c, &http.Client{Timeout: requestTimeout, Transport: transport}}
}

func (a *apiClient) do(ctx context.Context, method, path string, body []byte) (int, []byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, a.cluster.server+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	request.Header.Set("Authorization", "Bearer "+a.cluster.token)
	if body != nil {
		request.Header.Set("Content-Type", "application/apply-patch+yaml")
	}
	response, err := a.http.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	return response.StatusCode, answer, err
}

// until asks again until the condition holds or the context ends.
func until(ctx context.Context, holds func() bool) error {
	for !holds() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(askAgain):
		}
	}
	return nil
}

// prepareAPI waits for the API, lets the controllers start, and installs what AKS brings along.
func prepareAPI(ctx context.Context, c *cluster, answers func()) error {
	api := newAPIClient(c)
	if err := until(ctx, func() bool {
		status, _, err := api.do(ctx, http.MethodGet, "/readyz", nil)
		return err == nil && status == http.StatusOK
	}); err != nil {
		return err
	}
	answers()
	status, answer, err := api.do(ctx, http.MethodPatch, definitionPath+"?fieldManager=aks-app-routing&force=true", nginxIngressController)
	if err != nil {
		return fmt.Errorf("can't install the definition of NginxIngressController: %w", err)
	}
	if status >= http.StatusBadRequest {
		return fmt.Errorf("can't install the definition of NginxIngressController: HTTP %d %s", status, answer)
	}
	return until(ctx, func() bool {
		return established(api.do(ctx, http.MethodGet, definitionPath, nil)) && served(api.do(ctx, http.MethodGet, controllersPath, nil))
	})
}

// served: a definition can be established a moment before its objects are served.
func served(status int, _ []byte, err error) bool { return err == nil && status == http.StatusOK }

func established(status int, answer []byte, err error) bool {
	var definition struct {
		Status struct {
			Conditions []struct{ Type, Status string }
		}
	}
	if err != nil || status != http.StatusOK || json.Unmarshal(answer, &definition) != nil {
		return false
	}
	for _, condition := range definition.Status.Conditions {
		if condition.Type == "Established" {
			return condition.Status == "True"
		}
	}
	return false
}
