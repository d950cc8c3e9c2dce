{{/* What all objects of a run are found by; takes the root, and which part of it they are. */}}
{{- define "labels" -}}
app.kubernetes.io/name: darkroom
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .part }}
{{- end }}

{{/* Of a pod: nobody's root, and nothing but the volumes can be written. */}}
{{- define "pod" -}}
restartPolicy: Never
securityContext:
  runAsNonRoot: true
  runAsUser: 1000
  runAsGroup: 1000
  fsGroup: 1000
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{ toJson . }}
{{- end }}
{{- end }}

{{/* Where a pod with GPUs may go. */}}
{{- define "placement" -}}
{{- with .Values.nodeSelector }}
nodeSelector: {{ toJson . }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{ toJson . }}
{{- end }}
{{- end }}

{{- define "container" -}}
image: {{ .Values.image | quote }}
imagePullPolicy: {{ .Values.imagePullPolicy }}
workingDir: /work
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}

{{/* takes the root, and whether the weights are only read */}}
{{- define "environment" -}}
- {name: HF_HUB_OFFLINE, value: {{ ternary "1" "0" .readOnly | quote }}}
{{- with .root.Values.hubToken }}
- name: HF_TOKEN
  valueFrom: {secretKeyRef: {name: {{ . }}, key: token}}
{{- end }}
{{- end }}

{{/* takes the root, and whether the weights are only read */}}
{{- define "mounts" -}}
- {name: work, mountPath: /work}
- {name: weights, mountPath: /weights, readOnly: {{ .readOnly }}}
- {name: tmp, mountPath: /tmp}
{{- end }}

{{- define "volumes" -}}
- name: work
  persistentVolumeClaim: {claimName: {{ .Values.work.claim }}}
- name: weights
  persistentVolumeClaim: {claimName: {{ .Values.weights.claim }}}
- name: tmp
  emptyDir: {}
{{- end }}
