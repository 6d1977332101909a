text with {{ .Values.name }}
