{{- define "cocoasyncer.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" }}
{{- end }}

{{- define "cocoasyncer.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else if contains (include "cocoasyncer.name" .) .Release.Name }}
{{- .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "cocoasyncer.name" .) | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* Name of what has no namespace: of two releases of one name in different namespaces neither may get the other's. */}}
{{/* A lint may know no namespace; a name can't begin with a hyphen. */}}
{{- define "cocoasyncer.clusterName" -}}
{{- printf "%s-%s" .Release.Namespace (include "cocoasyncer.fullname" .) | trimPrefix "-" }}
{{- end }}

{{- define "cocoasyncer.selector" -}}
app.kubernetes.io/name: {{ include "cocoasyncer.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "cocoasyncer.labels" -}}
{{ include "cocoasyncer.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name (.Chart.Version | replace "+" "_") }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "cocoasyncer.serviceAccount" -}}
{{- default (ternary (include "cocoasyncer.fullname" .) "default" .Values.serviceAccount.create) .Values.serviceAccount.name }}
{{- end }}

{{- define "cocoasyncer.image" -}}
{{- .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- with .Values.image.digest }}@{{ . }}{{ end }}
{{- end }}

{{/* The namespaces that the operator works in, the release's own first; a JSON list. */}}
{{- define "cocoasyncer.namespaces" -}}
{{- prepend .Values.namespaces .Release.Namespace | uniq | toJson }}
{{- end }}

{{/* Where peers reach the API. */}}
{{- define "cocoasyncer.address" -}}
{{- if .Values.node.address }}
{{- .Values.node.address }}
{{- else if .Values.api.ingress.enabled }}
{{- printf "%s://%s" (ternary "https" "http" (ne .Values.api.ingress.tlsSecret "")) .Values.api.ingress.host }}
{{- else if and .Values.api.gateway.enabled .Values.api.gateway.hostnames }}
{{- printf "https://%s" (first .Values.api.gateway.hostnames) }}
{{- else }}
{{- printf "http://%s.%s.svc:%v" (include "cocoasyncer.fullname" .) .Release.Namespace .Values.api.service.port }}
{{- end }}
{{- end }}

{{- define "cocoasyncer.listen" -}}
{{- if contains ":" .ip }}[{{ .ip }}]{{ else }}{{ .ip }}{{ end }}:{{ .port }}
{{- end }}

{{/* What the level `restricted` of the Pod Security Standards wants, and more. */}}
{{- define "cocoasyncer.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: { type: RuntimeDefault }
{{- end }}

{{- define "cocoasyncer.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
privileged: false
capabilities: { drop: [ALL] }
{{- end }}

{{/* Rules of one scope of files/rbac.yaml, whose features are on. */}}
{{- define "cocoasyncer.rules" -}}
{{- $root := .root }}
{{- $features := dict "base" true "capacity" $root.Values.apps.checkCapacity "createNamespaces" $root.Values.rbac.createNamespaces "webhook" $root.Values.admission.webhook.enabled "gateway" (ne $root.Values.apps.gateway "") }}
{{- range $root.Files.Get "files/rbac.yaml" | fromYamlArray }}
{{- if and (has .scope $.scopes) (get $features .feature) }}
# {{ .why }}
- apiGroups: [{{ .group | quote }}]
  resources: [{{ .resource | quote }}]
  verbs: {{ .verbs | toJson }}
  {{- with .names }}
  resourceNames: {{ . | toJson | replace "{webhook}" (include "cocoasyncer.clusterName" $root) }}
  {{- end }}
{{- end }}
{{- end }}
{{- end }}
