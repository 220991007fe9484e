{{/* What the schema can't say: values that contradict each other, each refused by its name. */}}
{{- define "cocoasyncer.checks" -}}
{{- with .Values }}
{{- if and .node.publicAddresses .node.echo.services }}
{{- fail "node.echo.services: can't stand beside node.publicAddresses: an address has one source" }}
{{- end }}
{{- if gt (int .node.echo.agreement) (max 1 (len .node.echo.services)) }}
{{- fail (printf "node.echo.agreement: %v services can't agree where node.echo.services has %d" .node.echo.agreement (len .node.echo.services)) }}
{{- end }}
{{- if and .api.ingress.enabled (not .api.ingress.host) }}
{{- fail "api.ingress.host: is needed with api.ingress.enabled" }}
{{- end }}
{{- if and .api.gateway.enabled (not .api.gateway.parentRefs) }}
{{- fail "api.gateway.parentRefs: is needed with api.gateway.enabled: name a Gateway" }}
{{- end }}
{{- if and (not .dns.enabled) .dns.lineTables }}
{{- fail "dns.lineTables: has no reader where dns.enabled is false" }}
{{- end }}
{{- if and (ne .dns.service.type "LoadBalancer") .dns.service.loadBalancerClass }}
{{- fail "dns.service.loadBalancerClass: is for dns.service.type LoadBalancer only" }}
{{- end }}
{{- if and (ne .dns.service.type "LoadBalancer") .dns.service.loadBalancerSourceRanges }}
{{- fail "dns.service.loadBalancerSourceRanges: is for dns.service.type LoadBalancer only" }}
{{- end }}
{{- if and (eq .dns.service.type "ClusterIP") (ne (int .dns.service.nodePort) 0) }}
{{- fail "dns.service.nodePort: is for dns.service.type NodePort and LoadBalancer only" }}
{{- end }}
{{- if and (eq .apps.auth.mode "gateway") (not .apps.auth.gatewayFrom) }}
{{- fail "apps.auth.gatewayFrom: is needed with apps.auth.mode gateway: name the networks that the gateway calls from" }}
{{- end }}
{{- if and (eq .apps.auth.mode "gateway") .apps.auth.existingSecret }}
{{- fail "apps.auth.existingSecret: is for apps.auth.mode token only" }}
{{- end }}
{{- if and (eq .apps.auth.mode "token") .apps.auth.gatewayFrom }}
{{- fail "apps.auth.gatewayFrom: is for apps.auth.mode gateway only" }}
{{- end }}
{{- if and .apps.namespace (not (has .apps.namespace (append .namespaces $.Release.Namespace))) }}
{{- fail (printf "apps.namespace: %q is not among namespaces: add it there" .apps.namespace) }}
{{- end }}
{{- if and .apps.gateway .apps.ingressClass }}
{{- fail "apps.ingressClass: can't stand beside apps.gateway: a domain is routed by one of them" }}
{{- end }}
{{- if and .podDisruptionBudget.enabled (gt (int .replicas) 1) (ge (int .podDisruptionBudget.minAvailable) (int .replicas)) }}
{{- fail (printf "podDisruptionBudget.minAvailable: %v of %v replicas would let no node be drained" .podDisruptionBudget.minAvailable .replicas) }}
{{- end }}
{{- if and (not .serviceAccount.create) .serviceAccount.annotations }}
{{- fail "serviceAccount.annotations: has no object to stand on where serviceAccount.create is false" }}
{{- end }}
{{- if and .metrics.monitor (not ($.Capabilities.APIVersions.Has "monitoring.coreos.com/v1")) }}
{{- fail (printf "metrics.monitor: the cluster has no %s (monitoring.coreos.com/v1): install the Prometheus operator first, or leave it empty" .metrics.monitor) }}
{{- end }}
{{- if and .metrics.rules.enabled (not ($.Capabilities.APIVersions.Has "monitoring.coreos.com/v1")) }}
{{- fail "metrics.rules.enabled: the cluster has no PrometheusRule (monitoring.coreos.com/v1): install the Prometheus operator first" }}
{{- end }}
{{- if and .api.gateway.enabled (not ($.Capabilities.APIVersions.Has "gateway.networking.k8s.io/v1")) }}
{{- fail "api.gateway.enabled: the cluster has no HTTPRoute (gateway.networking.k8s.io/v1): install the Gateway API first" }}
{{- end }}
{{- end }}
{{- end }}
