/**
 * What the controller can be told.
 *
 * @module
 */
import type { DatabaseOrder } from "../../shared/cluster/databases.ts";
import type { CoordinatorInfo, NodeId } from "../../shared/cluster/cluster_map.ts";
import type { KvError } from "../../shared/base/errors.ts";
import type { Message } from "../../shared/wire/messages.ts";
import type { Report } from "../partitions/reports.ts";
import type { SessionId } from "../state/member.ts";

/** One input. What a node says counts only over the session on which it is registered. */
export type Input =
  /** The ports are listened on; the first input. */
  | { readonly type: "start"; readonly heartbeatPort: number }
  /** A node asks to be a member, or says again that it is one. */
  | {
    readonly type: "register";
    readonly session: SessionId;
    readonly message: Message<"register">;
  }
  /** By datagram (no session) or over a session. */
  | {
    readonly type: "heartbeat";
    readonly session: SessionId | undefined;
    readonly message: Message<"heartbeat">;
    /** Whether this coordinator may give leases at this moment: rule G8 of docs/coordinators.md. */
    readonly hasRight: boolean;
  }
  /** A node's word about a partition. */
  | { readonly type: "report"; readonly session: SessionId; readonly message: Report }
  /** A node's word about its disk. */
  | { readonly type: "disk"; readonly session: SessionId; readonly writable: boolean }
  /** A node wants to go: for good, or, `stopping`, until its process is started again. */
  | { readonly type: "leave"; readonly session: SessionId; readonly stopping: boolean }
  /** A connection has ended. That alone says nothing about its node. */
  | { readonly type: "session_closed"; readonly session: SessionId }
  /** Every COORDINATOR_TICK_MS: what time alone brings about. */
  | { readonly type: "tick" }
  /** The coordinator, or its whole machine, may have done nothing for this long. */
  | { readonly type: "stood_still"; readonly ms: number }
  /** Where the coordinators are by now, for the map. */
  | { readonly type: "coordinators"; readonly coordinators: readonly CoordinatorInfo[] }
  /** The document of an earlier step is on disk. */
  | { readonly type: "persisted"; readonly epoch: number }
  /** It could not be written. */
  | { readonly type: "persist_failed"; readonly epoch: number; readonly error: KvError }
  /**
   * What a node told of its replicas when it registered may be days old. If a partition is lost, all
   * nodes are asked to register again, which tells what they hold by now.
   */
  | { readonly type: "ask_what_is_held" }
  /**
   * An operator makes a replica primary although it may lack acknowledged writes. `partition` undefined: each one
   * that is lost; `node` undefined: the live node that has told of most when it registered last.
   */
  | {
    readonly type: "force";
    readonly partition: number | undefined;
    readonly node: NodeId | undefined;
  }
  /**
   * An operator says that a node that is down will not come back: it goes off the list, and out of every
   * configuration. If it comes back all the same it is a new node, in no in-sync set. `force`: also if only its
   * replicas have all acknowledged writes; then others are made primary without them. Rule C11.
   */
  | { readonly type: "forget_node"; readonly node: NodeId; readonly force: boolean }
  /**
   * A database is to be made. `ifAbsent`: one that is there already, of whatever kind, will do. `session`: of the node that
   * asks for it for one of its users; who has not registered asks in vain.
   */
  | {
    readonly type: "create_database";
    readonly order: DatabaseOrder;
    readonly ifAbsent: boolean;
    readonly session?: SessionId;
  }
  /**
   * A database is to be dropped. What it holds is gone at once; its rows are deleted in time. `session`: as above; then it
   * is the one with this number, and if that is not there any more, it will do.
   */
  | {
    readonly type: "drop_database";
    readonly name: string;
    readonly number?: number;
    readonly session?: SessionId;
  };
