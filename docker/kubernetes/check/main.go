// Reads manifests as the API server and KubeRay's operator would: strictly by the published types, then by the operator's own rules.
//
//	go run . ../*.yaml
package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	rayv1 "github.com/ray-project/kuberay/ray-operator/apis/ray/v1"
	"github.com/ray-project/kuberay/ray-operator/controllers/ray/utils"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
	strict "sigs.k8s.io/yaml"
)

var kinds = map[string]func() any{
	"v1/ConfigMap":                       func() any { return &corev1.ConfigMap{} },
	"v1/PersistentVolumeClaim":           func() any { return &corev1.PersistentVolumeClaim{} },
	"v1/Service":                         func() any { return &corev1.Service{} },
	"apps/v1/Deployment":                 func() any { return &appsv1.Deployment{} },
	"networking.k8s.io/v1/NetworkPolicy": func() any { return &networkingv1.NetworkPolicy{} },
	"ray.io/v1/RayJob":                   func() any { return &rayv1.RayJob{} },
}

func check(document []byte) (string, error) {
	var kind metav1.TypeMeta
	if err := strict.Unmarshal(document, &kind); err != nil {
		return "", err
	}
	name := kind.APIVersion + "/" + kind.Kind
	empty, known := kinds[name]
	if !known {
		return name, errors.New("no such kind is known here")
	}
	object := empty()
	if err := strict.UnmarshalStrict(document, object); err != nil {
		return name, err
	}
	if job, ok := object.(*rayv1.RayJob); ok {
		if err := utils.ValidateRayJobMetadata(job.ObjectMeta); err != nil {
			return name, err
		}
		return name, utils.ValidateRayJobSpec(job)
	}
	return name, nil
}

func main() {
	failed := false
	for _, path := range os.Args[1:] {
		content, err := os.ReadFile(path)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		reader := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(content)))
		for {
			document, err := reader.Read()
			if errors.Is(err, io.EOF) {
				break
			}
			name, err := check(document)
			if err != nil {
				failed = true
				fmt.Fprintf(os.Stderr, "%s: %s: %v\n", path, name, err)
				continue
			}
			fmt.Printf("%s: %s\n", path, name)
		}
	}
	if failed {
		os.Exit(1)
	}
}
