{{/* The operator's settings: a flag's name in capitals. What is left out has the program's own default. */}}
{{- define "cocoasyncer.env" -}}
{{- $ip := .Values.listenAddress }}
{{- $namespaces := include "cocoasyncer.namespaces" . | fromJsonArray }}
{{- with .Values }}
- { name: COCOASYNCER_NODE, value: {{ default (include "cocoasyncer.fullname" $) .node.name | quote }} }
- { name: COCOASYNCER_SYSTEM_NAMESPACE, value: {{ $.Release.Namespace | quote }} }
- { name: COCOASYNCER_NAMESPACES, value: {{ join "," $namespaces | quote }} }
- { name: COCOASYNCER_LEASE_SECONDS, value: {{ .leaseSeconds | quote }} }
- { name: COCOASYNCER_API_RATE, value: {{ .kubernetesApiRate | quote }} }
- { name: COCOASYNCER_API_LISTEN, value: {{ include "cocoasyncer.listen" (dict "ip" $ip "port" 44443) | quote }} }
- { name: COCOASYNCER_OPS_LISTEN, value: {{ include "cocoasyncer.listen" (dict "ip" $ip "port" 44480) | quote }} }
- { name: COCOASYNCER_DNS_LISTEN, value: {{ ternary (include "cocoasyncer.listen" (dict "ip" $ip "port" 1053)) "none" .dns.enabled | quote }} }
- { name: COCOASYNCER_ADDRESS, value: {{ include "cocoasyncer.address" $ | quote }} }
- { name: COCOASYNCER_WORK_MODE, value: {{ .node.workMode | quote }} }
- { name: COCOASYNCER_LINES, value: {{ join "," (default (list "None") .node.lines) | quote }} }
- { name: COCOASYNCER_NETWORK_TYPE, value: {{ .node.networkType | quote }} }
- { name: COCOASYNCER_DOCKER, value: none }
- { name: COCOASYNCER_APP_NAMESPACE, value: {{ default $.Release.Namespace .apps.namespace | quote }} }
- { name: COCOASYNCER_APP_AUTH, value: {{ .apps.auth.mode | quote }} }
- { name: COCOASYNCER_APP_INSTALLS_AT_ONCE, value: {{ .apps.installsAtOnce | quote }} }
- { name: COCOASYNCER_LOG, value: {{ .log.filter | quote }} }
- { name: COCOASYNCER_LOG_FORMAT, value: {{ .log.format | quote }} }
{{- if .admission.webhook.enabled }}
- { name: COCOASYNCER_WEBHOOK_LISTEN, value: {{ include "cocoasyncer.listen" (dict "ip" $ip "port" 9443) | quote }} }
- { name: COCOASYNCER_WEBHOOK_SERVICE, value: {{ printf "%s-webhook" (include "cocoasyncer.fullname" $) }} }
- { name: COCOASYNCER_WEBHOOK_CONFIGURATION, value: {{ include "cocoasyncer.clusterName" $ }} }
{{- end }}
{{- with .node.displayName }}
- { name: COCOASYNCER_DISPLAY_NAME, value: {{ . | quote }} }
{{- end }}
{{- with .node.code }}
- { name: COCOASYNCER_NODE_CODE, value: {{ . | quote }} }
{{- end }}
{{- with .node.publicAddresses }}
- { name: COCOASYNCER_PUBLIC_ADDRESS, value: {{ join "," . | quote }} }
{{- end }}
{{- if .node.echo.services }}
- { name: COCOASYNCER_ECHO, value: {{ join "," .node.echo.services | quote }} }
- { name: COCOASYNCER_ECHO_AGREEMENT, value: {{ .node.echo.agreement | quote }} }
{{- end }}
{{- if .node.allowPrivate }}
- { name: COCOASYNCER_ALLOW_PRIVATE, value: "true" }
{{- end }}
{{- if .node.secret.existingSecret }}
- { name: COCOASYNCER_SECRET_FILE, value: /etc/cocoasyncer/node/secret }
{{- end }}
{{- with .node.ownerId }}
- { name: COCOASYNCER_OWNER_ID, value: {{ . | quote }} }
{{- end }}
{{- with .api.revealCredentialsTo }}
- { name: COCOASYNCER_REVEAL_CREDENTIALS_TO, value: {{ join "," . | quote }} }
{{- end }}
{{- if .api.reverseProxy }}
- { name: COCOASYNCER_REVERSE_PROXY, value: "true" }
{{- end }}
{{- with .dns.hostmaster }}
- { name: COCOASYNCER_HOSTMASTER, value: {{ . | quote }} }
{{- end }}
{{- with .dns.nameServers }}
- { name: COCOASYNCER_NAME_SERVER, value: {{ join "," . | quote }} }
{{- end }}
{{- if .apps.auth.existingSecret }}
- { name: COCOASYNCER_APP_TOKEN_FILE, value: /etc/cocoasyncer/apps/tokens }
{{- end }}
{{- with .apps.auth.gatewayFrom }}
- { name: COCOASYNCER_APP_GATEWAY_FROM, value: {{ join "," . | quote }} }
{{- end }}
{{- if .apps.errorsAs200 }}
- { name: COCOASYNCER_APP_ERRORS_AS_200, value: "true" }
{{- end }}
{{- with .apps.allow }}
- { name: COCOASYNCER_APP_ALLOW, value: {{ join "," . | quote }} }
{{- end }}
- { name: COCOASYNCER_APP_EXPOSE, value: {{ .apps.expose | quote }} }
- { name: COCOASYNCER_APP_VOLUME_GIB, value: {{ .apps.volumeGib | quote }} }
- { name: COCOASYNCER_APP_CLUSTER_DOMAIN, value: {{ .apps.clusterDomain | quote }} }
{{- with .apps.ingressClass }}
- { name: COCOASYNCER_APP_INGRESS_CLASS, value: {{ . | quote }} }
{{- end }}
{{- with .apps.gateway }}
- { name: COCOASYNCER_APP_GATEWAY, value: {{ . | quote }} }
{{- end }}
{{- with .apps.routeAnnotations }}
{{- $rows := list }}
{{- range $key, $value := . }}
{{- $rows = append $rows (printf "%s=%s" $key $value) }}
{{- end }}
- { name: COCOASYNCER_APP_ROUTE_ANNOTATIONS, value: {{ join "\n" $rows | quote }} }
{{- end }}
{{- with .apps.storageClass }}
- { name: COCOASYNCER_APP_STORAGE_CLASS, value: {{ . | quote }} }
{{- end }}
{{- with .apps.clusterDns }}
- { name: COCOASYNCER_APP_CLUSTER_DNS, value: {{ . | quote }} }
{{- end }}
{{- with .apps.pullSecrets }}
- { name: COCOASYNCER_APP_PULL_SECRETS, value: {{ join "," . | quote }} }
{{- end }}
{{- with .apps.host }}
- { name: COCOASYNCER_APP_HOST, value: {{ . | quote }} }
{{- end }}
{{- with .env }}
{{ toYaml . }}
{{- end }}
{{- end }}
{{- end }}
