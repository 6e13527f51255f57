package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// keyFolder holds the cluster's authority, and the certificates that it issues anew at each start.
type keyFolder struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

type leaf struct {
	file          string // name of the .crt and .key files
	commonName    string
	organizations []string
	addresses     []net.IP // makes it a server's certificate as well
}

func (k *keyFolder) path(name string) string { return filepath.Join(k.dir, name) }

func writePEM(path, kind string, der []byte) error {
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}

func writeKey(path string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	return writePEM(path, "EC PRIVATE KEY", der)
}

func readPEM(path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s is not a PEM file; remove the folder %s to begin with a new cluster", path, filepath.Dir(path))
	}
	return block.Bytes, nil
}

// ensureKey reads a private key, or makes it once.
func ensureKey(path string) (*ecdsa.PrivateKey, error) {
	der, err := readPEM(path)
	if err == nil {
		return x509.ParseECPrivateKey(der)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	return key, writeKey(path, key)
}

func openKeyFolder(dir string) (*keyFolder, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	k := &keyFolder{dir: dir}
	key, err := ensureKey(k.path("ca.key"))
	if err != nil {
		return nil, err
	}
	k.key = key
	der, err := readPEM(k.path("ca.crt"))
	if errors.Is(err, fs.ErrNotExist) {
		der, err = k.selfSign()
	}
	if err != nil {
		return nil, err
	}
	k.cert, err = x509.ParseCertificate(der)
	return k, err
}

func template(commonName string, organizations []string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: commonName, Organization: organizations},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().AddDate(1, 0, 0),
		KeyUsage:     x509.KeyUsageDigitalSignature,
	}
}

func (k *keyFolder) selfSign() ([]byte, error) {
	t := template("kubebox-ca", nil)
	t.KeyUsage |= x509.KeyUsageCertSign
	t.BasicConstraintsValid, t.IsCA = true, true
	der, err := x509.CreateCertificate(rand.Reader, t, t, &k.key.PublicKey, k.key)
	if err != nil {
		return nil, err
	}
	return der, writePEM(k.path("ca.crt"), "CERTIFICATE", der)
}

func (k *keyFolder) issue(l leaf) error {
	key, err := ensureKey(k.path(l.file + ".key"))
	if err != nil {
		return err
	}
	t := template(l.commonName, l.organizations)
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	if len(l.addresses) > 0 {
		t.ExtKeyUsage = append(t.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
		t.IPAddresses = l.addresses
		t.DNSNames = []string{"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"}
	}
	der, err := x509.CreateCertificate(rand.Reader, t, k.cert, &key.PublicKey, k.key)
	if err != nil {
		return err
	}
	return writePEM(k.path(l.file+".crt"), "CERTIFICATE", der)
}
