"""Open Inference Protocol V2: REST with binary tensors, and gRPC, for the clients of Triton, KServe and MLServer.

`tensors` are what both carry; `specs` says what each model takes and gives; `infer` answers; `wire`, `routes` and
`repository` are the REST side, `messages`, `rpc` and `door` the gRPC side. Everything ends in `Repository.predict` or
`ServedModel.run_tensors`. Sources: the KServe V2 protocol and Triton's extensions of it.
"""
