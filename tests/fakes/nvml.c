/* A driver with two GPUs, for tests on machines without one: what NVML's functions return, at the C boundary.
   GPU 0 has a meter, ECC and, if FAKE_NVML_PID is set, somebody's process; GPU 1 cannot say any of that. */
#include <stdlib.h>
#include <string.h>

enum { SUCCESS = 0, NOT_SUPPORTED = 3, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7 };
typedef struct { unsigned long long total, free, used; } memory_t;
typedef struct { unsigned gpu, memory; } utilization_t;
typedef struct { unsigned pid; unsigned long long used; unsigned gpu_instance, compute_instance; } process_t;
typedef struct { unsigned index; } device_t;

static device_t devices[2] = {{0}, {1}};
static unsigned reading = 0;

static unsigned number(const char *name, unsigned otherwise) {
  const char *text = getenv(name);
  return text ? (unsigned)strtoul(text, NULL, 10) : otherwise;
}

int nvmlInitWithFlags(unsigned flags) { (void)flags; return number("FAKE_NVML_INIT", SUCCESS); }
int nvmlShutdown(void) { return SUCCESS; }
const char *nvmlErrorString(int code) { return code == 9 ? "Driver Not Loaded" : "Unknown Error"; }
int nvmlSystemGetDriverVersion(char *text, unsigned size) { strncpy(text, "550.54.15", size); return SUCCESS; }
int nvmlSystemGetCudaDriverVersion_v2(int *version) { *version = 12040; return SUCCESS; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = 2; return SUCCESS; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, device_t **device) {
  if (index > 1) return NOT_FOUND;
  *device = &devices[index];
  return SUCCESS;
}
int nvmlDeviceGetName(device_t *device, char *text, unsigned size) {
  strncpy(text, device->index ? "Fake T4" : "Fake H100", size);
  return SUCCESS;
}
int nvmlDeviceGetUUID(device_t *device, char *text, unsigned size) {
  strncpy(text, device->index ? "GPU-bbbb" : "GPU-aaaa", size);
  return SUCCESS;
}
int nvmlDeviceGetMemoryInfo(device_t *device, memory_t *memory) {
  memory->total = (device->index ? 16ULL : 80ULL) << 30;
  memory->used = 1ULL << 30;
  memory->free = memory->total - memory->used;
  return SUCCESS;
}
int nvmlDeviceGetUtilizationRates(device_t *device, utilization_t *rates) {
  rates->gpu = device->index ? 50 : 80 + reading++ % 2;
  rates->memory = 10;
  return SUCCESS;
}
int nvmlDeviceGetPowerUsage(device_t *device, unsigned *milliwatts) {
  *milliwatts = 360000;
  return device->index ? NOT_SUPPORTED : SUCCESS;
}
int nvmlDeviceGetTotalEccErrors(device_t *device, int kind, int counter, unsigned long long *count) {
  (void)kind, (void)counter;
  *count = number("FAKE_NVML_ECC", 0);
  return device->index ? NOT_SUPPORTED : SUCCESS;
}
int nvmlDeviceGetComputeRunningProcesses_v3(device_t *device, unsigned *count, process_t *found) {
  unsigned pid = number("FAKE_NVML_PID", 0);
  if (!pid || device->index) { *count = 0; return SUCCESS; }
  if (*count < 1 || !found) { *count = 1; return INSUFFICIENT_SIZE; }
  found[0] = (process_t){.pid = pid, .used = 7ULL << 30};
  *count = 1;
  return SUCCESS;
}
