{{/* What identifies the pods of one part: a dict of root and name. */}}
{{- define "casdelius.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .name }}
{{- end }}

{{- define "casdelius.labels" -}}
{{ include "casdelius.selector" . }}
app.kubernetes.io/version: {{ .root.Values.image.tag | default .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end }}

{{/* A pod of one part, with one container: a dict of root, name and part, the part's values. */}}
{{- define "casdelius.pod" -}}
automountServiceAccountToken: false
serviceAccountName: {{ .part.serviceAccountName }}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  seccompProfile:
    type: RuntimeDefault
containers:
  - name: {{ .name }}
    image: "{{ .root.Values.image.registry }}/{{ .part.image }}:{{ .root.Values.image.tag | default .root.Chart.AppVersion }}"
    imagePullPolicy: {{ .root.Values.image.pullPolicy }}
    {{- with .part.args }}
    args:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    env:
      {{- range $variable, $value := .part.env }}
      - name: {{ $variable }}
        value: {{ $value | quote }}
      {{- end }}
      {{- range $secret, $variables := .part.secrets }}
      {{- range $variable, $key := $variables }}
      - name: {{ $variable }}
        valueFrom:
          secretKeyRef:
            name: {{ $secret }}
            key: {{ $key }}
      {{- end }}
      {{- end }}
    securityContext:
      allowPrivilegeEscalation: false
      readOnlyRootFilesystem: true
      capabilities:
        drop: [ALL]
    resources:
      {{- toYaml .part.resources | nindent 6 }}
    {{- if .serving }}
    ports:
      - name: http
        containerPort: 8080
    livenessProbe:
      httpGet:
        path: /health/liveness
        port: http
      periodSeconds: 10
      timeoutSeconds: 5
      failureThreshold: 6
    readinessProbe:
      httpGet:
        path: /health/readiness
        port: http
      periodSeconds: 10
      timeoutSeconds: 5
      failureThreshold: 2
    {{- end }}
    {{- if .part.files }}
    volumeMounts:
      {{- range $secret, $folder := .part.files }}
      - name: {{ $secret }}
        mountPath: {{ $folder }}
        readOnly: true
      {{- end }}
    {{- end }}
{{- if .part.files }}
volumes:
  {{- range $secret, $folder := .part.files }}
  - name: {{ $secret }}
    secret:
      secretName: {{ $secret }}
      defaultMode: 0440
  {{- end }}
{{- end }}
{{- end }}
