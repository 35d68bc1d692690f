#!/usr/bin/env bash
# Is the GPU used? Asks a cluster that runs the overlay gpu, and says ok or FAIL of each link; exit code 0: all hold.
#
#   deploy/gpu_check.sh [NAMESPACE]          default: signet. Send requests meanwhile: the last link is about them.
set -uo pipefail
namespace=${1:-signet}
failed=0

holds() { # holds FACT VALUE: a line; VALUE empty or 0 is a failure
  if [[ -n $2 && $2 != 0 ]]; then echo "ok    $1: $2"; else echo "FAIL  $1"; failed=1; fi
}

in_pod() { kubectl --namespace "$namespace" exec "$pod" --container model-server -- "$@" 2>/dev/null; }

command -v kubectl >/dev/null || { echo "gpu_check.sh needs kubectl" >&2; exit 1; }

holds "GPUs that the nodes offer" \
  "$(kubectl get nodes --output jsonpath='{range .items[*]}{.status.allocatable.nvidia\.com/gpu}{"\n"}{end}' | awk '{sum += $1} END {print sum + 0}')"

pod=$(kubectl --namespace "$namespace" get pods --selector app.kubernetes.io/name=model-server \
  --field-selector status.phase=Running --output jsonpath='{.items[0].metadata.name}' 2>/dev/null)
holds "a pod of the model server runs" "$pod"
[[ -n $pod ]] || exit 1

container() { kubectl --namespace "$namespace" get pod "$pod" --output jsonpath="{.spec.containers[0].$1}"; }
holds "GPUs that it holds" "$(container 'resources.limits.nvidia\.com/gpu')"
holds "its image is for GPUs" "$(container image | grep -- '-gpu$')"
holds "memory grows as it is needed" "$(container 'env[?(@.name=="TF_FORCE_GPU_ALLOW_GROWTH")].value' | grep true)"
holds "the driver shows it in the pod" "$(in_pod nvidia-smi --query-gpu=name,driver_version --format=csv,noheader)"
holds "TensorFlow made a device of it" \
  "$(kubectl --namespace "$namespace" logs "$pod" --container model-server | grep -oE 'Created device .*GPU:[0-9]+ with [0-9]+ MB memory' | tail -1)"
holds "MiB of its memory that are used" "$(in_pod nvidia-smi --query-gpu=memory.used --format=csv,noheader,nounits)"

most=0
for _ in {1..20}; do
  now=$(in_pod nvidia-smi --query-gpu=utilization.gpu --format=csv,noheader,nounits | sort -n | tail -1)
  ((${now:-0} > most)) && most=$now
  sleep 0.5
done
holds "per cent of the time that it computes, at most in ten seconds, while requests come" "$most"
exit $failed
