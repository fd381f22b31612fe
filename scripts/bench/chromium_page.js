// What runs in the browser: asks for jobs, does them, posts what came of them. `sim` is what jobs can use.
"use strict";

const sim = {
  state: {},

  async context() {
    this.state.context ??= await navigator.ml.createContext({deviceType: "cpu"});
    return this.state.context;
  },

  // --- Building from a recipe (recipe.py) ---------------------------------------------------------------------------

  arrays: {
    float32: Float32Array, float16: globalThis.Float16Array ?? Uint16Array,
    int64: BigInt64Array, uint64: BigUint64Array, int32: Int32Array, uint32: Uint32Array,
    int8: Int8Array, uint8: Uint8Array, int4: Uint8Array, uint4: Uint8Array,
  },

  view(dataType, buffer, offset, length) {
    const type = this.arrays[dataType];
    return new type(buffer, offset, length / type.BYTES_PER_ELEMENT);
  },

  // The builder and its outputs; `data` is the buffer of the constants.
  record(context, recipe, data) {
    const builder = new MLGraphBuilder(context);
    const operands = [];
    const resolve = (value) => {
      if (Array.isArray(value)) return value.map(resolve);
      if (value === null || typeof value !== "object") return value;
      if ("operand" in value) return operands[value.operand];
      return "bigint" in value ? BigInt(value.bigint) : Number(value.number);
    };
    for (const {operand, name, ...descriptor} of recipe.inputs) operands[operand] = builder.input(name, descriptor);
    for (const {operand, offset, length, ...descriptor} of recipe.constants)
      operands[operand] = builder.constant(descriptor, this.view(descriptor.dataType, data, offset, length));
    for (const operation of recipe.operations) {
      const options = {};
      for (const [name, value] of Object.entries(operation.options)) options[name] = resolve(value);
      const made = builder[operation.method](...operation.arguments.map(resolve), options);
      const list = operation.returnsList ? made : [made];
      operation.outputs.forEach((operand, i) => { operands[operand] = list[i]; });
    }
    const outputs = {};
    for (const [name, operand] of Object.entries(recipe.outputs)) outputs[name] = operands[operand];
    return {builder, outputs};
  },

  async data(path) {
    return await (await fetch(path)).arrayBuffer();
  },

  // Build a recipe and compute it once: input bytes (base64) by name to output bytes by name.
  async compute(recipe, dataPath, inputs) {
    const context = await this.context();
    const {builder, outputs} = this.record(context, recipe, await this.data(dataPath));
    const graph = await builder.build(outputs);
    const given = {}, made = {}, results = {};
    for (const {operand, name, ...descriptor} of recipe.inputs) {
      given[name] = await context.createTensor({...descriptor, writable: true});
      context.writeTensor(given[name], Uint8Array.from(atob(inputs[name]), (c) => c.charCodeAt(0)).buffer);
    }
    for (const [name, output] of Object.entries(outputs))
      made[name] = await context.createTensor({dataType: output.dataType, shape: output.shape, readable: true});
    context.dispatch(graph, given, made);
    for (const name of Object.keys(made)) {
      const bytes = new Uint8Array(await context.readTensor(made[name]));
      let text = "";
      for (let i = 0; i < bytes.length; i += 32768) text += String.fromCharCode(...bytes.subarray(i, i + 32768));
      results[name] = btoa(text);
    }
    for (const tensor of [...Object.values(given), ...Object.values(made)]) tensor.destroy();
    graph.destroy();
    return results;
  },

  // --- What is measured: the calls of ours.py -----------------------------------------------------------------------

  async chained() {
    if (!this.state.chained) {
      const context = await this.context();
      const builder = new MLGraphBuilder(context);
      const descriptor = {dataType: "float32", shape: [2, 2]};
      const one = builder.constant({dataType: "float32", shape: []}, new Float32Array([1]));
      const graph = await builder.build({y: builder.add(builder.input("x", descriptor), one)});
      const make = () => context.createTensor({...descriptor, readable: true, writable: true});
      this.state.chained = {context, graph, tensors: [await make(), await make()]};
    }
    const {context, tensors} = this.state.chained;
    for (const tensor of tensors) context.writeTensor(tensor, new Float32Array(4));
    return this.state.chained;
  },

  async chain(calls, intervalMs) {
    const {context, graph, tensors} = await this.chained();
    const result = new Float32Array(4);
    const us = [];
    for (let i = 0; i < calls; i++) {
      if (intervalMs) await new Promise((resolve) => setTimeout(resolve, intervalMs));
      const start = performance.now();
      context.dispatch(graph, {x: tensors[i % 2]}, {y: tensors[1 - i % 2]});
      await context.readTensor(tensors[1 - i % 2], result);
      us.push((performance.now() - start) * 1e3);
    }
    return {us, value: result[0]};
  },

  async burst(dispatches, calls) {
    const {context, graph, tensors} = await this.chained();
    const result = new Float32Array(4);
    const us = [];
    for (let call = 0; call < calls; call++) {
      const first = call * dispatches, end = first + dispatches;
      const start = performance.now();
      for (let i = first; i < end; i++) context.dispatch(graph, {x: tensors[i % 2]}, {y: tensors[1 - i % 2]});
      await context.readTensor(tensors[end % 2], result);
      us.push((performance.now() - start) * 1e3);
    }
    return {us, value: result[0]};
  },

  async payload(size, calls) {
    const context = await this.context();
    const builder = new MLGraphBuilder(context);
    const descriptor = {dataType: "float32", shape: [size / 4]};
    const graph = await builder.build({y: builder.relu(builder.input("x", descriptor))});
    const x = await context.createTensor({...descriptor, writable: true});
    const y = await context.createTensor({...descriptor, readable: true});
    const data = new Float32Array(size / 4).fill(0.5);
    const result = new Float32Array(size / 4);
    const us = [];
    let checksum = 0;
    for (let i = 0; i < calls; i++) {
      data[i % data.length] = i;
      const start = performance.now();
      context.writeTensor(x, data);
      context.dispatch(graph, {x}, {y});
      await context.readTensor(y, result);
      us.push((performance.now() - start) * 1e3);
      checksum += result[i % result.length];
    }
    x.destroy(); y.destroy(); graph.destroy();
    return {us, checksum};
  },

  async build(recipe, dataPath, fresh) {
    const context = await this.context();
    const data = await this.data(dataPath);
    const type = fresh.tokens ? Int32Array : Float32Array;
    const input = new type(await this.data(fresh.path));
    const start = performance.now();
    const {builder, outputs} = this.record(context, recipe, data);
    const graph = await builder.build(outputs);
    const {operand, name, ...descriptor} = recipe.inputs[0];
    const [outputName, output] = Object.entries(outputs)[0];
    const inside = await context.createTensor({...descriptor, writable: true});
    const outside = await context.createTensor({dataType: output.dataType, shape: output.shape, readable: true});
    const result = new Float32Array(output.shape.reduce((a, b) => a * b, 1));
    const model = {
      input, result, inside, outside, tokens: fresh.tokens, vocabulary: fresh.vocabulary, calls: 0,
      run: async () => {
        context.writeTensor(inside, input);
        context.dispatch(graph, {[name]: inside}, {[outputName]: outside});
        await context.readTensor(outside, result);
      },
      destroy: () => { inside.destroy(); outside.destroy(); graph.destroy(); },
    };
    await model.run();
    const ms = performance.now() - start;
    this.state.models ??= {};
    this.state.models[fresh.model]?.destroy();
    this.state.models[fresh.model] = model;
    return {ms, checksum: result.reduce((a, b) => a + b, 0)};
  },

  async run(name, calls) {
    const model = this.state.models[name];
    const us = [];
    let checksum = 0;
    for (let i = 0; i < calls; i++) {
      const k = model.calls++;
      model.input[k % model.input.length] = model.tokens ? k % model.vocabulary : (k % 11) / 11;
      const start = performance.now();
      await model.run();
      us.push((performance.now() - start) * 1e3);
      checksum += model.result.reduce((a, b) => a + b, 0);
    }
    return {us, checksum};
  },

  async createTensors(sizes) {
    const context = await this.context();
    const us = [], tensors = [];
    for (const size of sizes) {
      const start = performance.now();
      tensors.push(await context.createTensor({dataType: "uint8", shape: [size], readable: true, writable: true}));
      us.push((performance.now() - start) * 1e3);
    }
    for (const tensor of tensors) tensor.destroy();
    return {us};
  },
};

(async () => {
  const AsyncFunction = (async () => {}).constructor;
  for (;;) {
    const reply = await fetch("job");
    const number = reply.headers.get("x-job");
    if (number === null) continue;  // nothing to do yet
    const answer = {};
    try {
      answer.result = await new AsyncFunction("sim", await reply.text())(sim) ?? null;
    } catch (error) {
      answer.error = `${error.name}: ${error.message}`;
    }
    await fetch(`result/${number}`, {method: "POST", body: JSON.stringify(answer)});
  }
})();
