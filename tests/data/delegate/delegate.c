/* An external delegate of TFLite that computes float32 FULLY_CONNECTED nodes in plain C, or, with the option
   take=nothing, takes no node. Option take=fail: it cannot be created.

   Structs are TFLite's C interface (tensorflow/lite/core/c/common.h), up to the members that are used here. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct { int size; int data[]; } IntArray;
typedef struct { IntArray *inputs, *outputs, *intermediates, *temporaries; void *user_data; } Node;
typedef struct Context Context;
typedef struct Delegate Delegate;

typedef struct {
  void *(*init)(Context *, const char *, size_t);
  void (*free)(Context *, void *);
  int (*prepare)(Context *, Node *);
  int (*invoke)(Context *, Node *);
  const char *(*profiling_string)(const Context *, const Node *);
  int32_t builtin_code;
  const char *custom_name;
  int version;
  void *registration_external;
  void *async_kernel;
  uint64_t inplace_operator;
} Registration;

/* TfLiteTensor, whole: an array of them is indexed */
typedef struct {
  int type;
  float *data;
  IntArray *dims;
  struct { float scale; int32_t zero_point; } params;
  int allocation_type;
  size_t bytes;
  const void *allocation;
  const char *name;
  void *delegate;
  int buffer_handle;
  char data_is_stale, is_variable;
  struct { int type; void *params; } quantization;
  void *sparsity;
  const IntArray *dims_signature;
} Tensor;

struct Context {
  size_t tensors_size;
  int (*GetExecutionPlan)(Context *, IntArray **);
  Tensor *tensors;
  void *impl;
  int (*ResizeTensor)(Context *, Tensor *, IntArray *);
  void (*ReportError)(Context *, const char *, ...);
  int (*AddTensors)(Context *, int, int *);
  int (*GetNodeAndRegistration)(Context *, int, Node **, Registration **);
  int (*ReplaceNodeSubsetsWithDelegateKernels)(Context *, Registration, const IntArray *, Delegate *);
};

struct Delegate {
  void *data;
  int (*Prepare)(Context *, Delegate *);
  void *copy_from, *copy_to, *free_handle;
  int64_t flags;
  void *opaque_builder;
};

typedef struct { Delegate *delegate; IntArray *nodes, *inputs, *outputs; } Params;

enum { FULLY_CONNECTED = 9 };

/* The tensors of each node that was taken: input, weights, bias (-1: none), output. */
typedef struct { int count; int tensors[][4]; } Taken;

static void *kernel_init(Context *context, const char *buffer, size_t length) {
  const IntArray *nodes = ((const Params *)buffer)->nodes;
  Taken *taken = malloc(sizeof(Taken) + sizeof(int[4]) * (size_t)nodes->size);
  (void)length;
  taken->count = nodes->size;
  for (int at = 0; at < nodes->size; ++at) {
    Node *node;
    Registration *registration;
    context->GetNodeAndRegistration(context, nodes->data[at], &node, &registration);
    for (int input = 0; input < 3; ++input)
      taken->tensors[at][input] = input < node->inputs->size ? node->inputs->data[input] : -1;
    taken->tensors[at][3] = node->outputs->data[0];
  }
  return taken;
}

static void kernel_free(Context *context, void *buffer) {
  (void)context;
  free(buffer);
}

static int kernel_prepare(Context *context, Node *node) {
  (void)context;
  (void)node;
  return 0;
}

static void fully_connected(const Tensor *x, const Tensor *weights, const Tensor *bias, Tensor *out) {
  const int rows = weights->dims->data[0], columns = weights->dims->data[1];
  const int batch = (int)(x->bytes / sizeof(float)) / columns;
  for (int image = 0; image < batch; ++image)
    for (int row = 0; row < rows; ++row) {
      float sum = bias ? bias->data[row] : 0.f;
      for (int column = 0; column < columns; ++column)
        sum += weights->data[row * columns + column] * x->data[image * columns + column];
      out->data[image * rows + row] = sum;
    }
}

static int kernel_invoke(Context *context, Node *node) {
  const Taken *taken = node->user_data;
  for (int at = 0; at < taken->count; ++at) {
    const int *index = taken->tensors[at];
    Tensor *all = context->tensors;
    fully_connected(&all[index[0]], &all[index[1]], index[2] < 0 ? 0 : &all[index[2]], &all[index[3]]);
  }
  return 0;
}

static int take_fully_connected(Context *context, Delegate *delegate) {
  Registration kernel = {kernel_init, kernel_free, kernel_prepare, kernel_invoke, 0, 0, "FullyConnectedOfTests", 1, 0, 0, 0};
  IntArray *plan, *taken;
  int status;
  context->GetExecutionPlan(context, &plan);
  taken = calloc(1, sizeof(int) * (size_t)(plan->size + 1));
  for (int at = 0; at < plan->size; ++at) {
    Node *node;
    Registration *registration;
    context->GetNodeAndRegistration(context, plan->data[at], &node, &registration);
    if (registration->builtin_code == FULLY_CONNECTED) taken->data[taken->size++] = plan->data[at];
  }
  status = context->ReplaceNodeSubsetsWithDelegateKernels(context, kernel, taken, delegate);
  free(taken);
  return status;
}

static int take_nothing(Context *context, Delegate *delegate) {
  (void)context;
  (void)delegate;
  return 0;
}

Delegate *tflite_plugin_create_delegate(char **keys, char **values, size_t count, void (*report)(const char *)) {
  Delegate *delegate = calloc(1, sizeof(Delegate));
  delegate->Prepare = take_fully_connected;
  for (size_t at = 0; at < count; ++at) {
    if (strcmp(keys[at], "take")) continue;
    if (!strcmp(values[at], "nothing")) delegate->Prepare = take_nothing;
    if (!strcmp(values[at], "fail")) {
      report("this device is switched off");
      free(delegate);
      return 0;
    }
  }
  return delegate;
}

void tflite_plugin_destroy_delegate(Delegate *delegate) { free(delegate); }
