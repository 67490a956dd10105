/**
 * Whether a JSON value has the form of a cluster map, of a change of one, or of a partition's
 * configuration. Everything from outside is checked here before it is believed or kept. Otherwise a
 * configuration without a list, for example, would be noticed much later, by code that has every reason
 * to rely on it. Whether the content is consistent is checked by `checkInvariants` of `cluster_map.ts`.
 *
 * @module
 */
import { PARTITIONS_MAX, TERM_MAX } from "../limits/cluster.ts";
import { COORDINATORS_MAX } from "../limits/membership.ts";
import { CONTENT_TYPE_CHARACTERS_MAX } from "../limits/wire.ts";
import { isDatabaseList } from "./databases.ts";
import { isClusterSettings } from "./cluster_settings.ts";

/** While they are changed, the old and the new ones are listed. */
const COORDINATORS_LISTED_MAX = 2 * COORDINATORS_MAX;
const NODE_STATES: readonly unknown[] = ["up", "down", "leaving"];

/** A whole number that a JavaScript number holds exactly. */
export function isUint(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

/** A term; it is stored in four bytes. */
export function isTerm(value: unknown): value is number {
  return isUint(value) && value <= TERM_MAX;
}

/** The number of a partition; it is stored in two bytes. */
export function isPartition(value: unknown): value is number {
  return isUint(value) && value < PARTITIONS_MAX;
}

/** An array of strings. */
export function isTextList(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((item) => typeof item === "string");
}

/** An object that is not an array. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Form of a `PartitionConfig`. */
export function isPartitionConfig(value: unknown): boolean {
  if (!isObject(value)) return false;
  const { term, primary, inSync, learners, forcedTerm } = value;
  return isTerm(term) && isTextList(inSync) && isTextList(learners) &&
    (primary === undefined || typeof primary === "string") &&
    (forcedTerm === undefined || isTerm(forcedTerm));
}

/** Form of a `ClusterMap`. */
export function isClusterMap(value: unknown): boolean {
  if (!isObject(value)) return false;
  const { epoch, generation, seal, settings, nodes, coordinators, databases, partitions } = value;
  return isUint(epoch) && isOptionalText(generation) && isOptionalText(seal) &&
    isSettings(settings) && isNodeList(nodes) && isOptionalCoordinators(coordinators) &&
    (databases === undefined || isDatabaseList(databases)) &&
    Array.isArray(partitions) && partitions.length === settings.partitionCount &&
    partitions.every(isPartitionConfig);
}

/** Form of a `ClusterMapDelta`. */
export function isClusterMapDelta(value: unknown): boolean {
  if (!isObject(value)) return false;
  const { fromEpoch, epoch, generation, seal, nodes, coordinators, databases, partitions } = value;
  return isUint(fromEpoch) && isUint(epoch) && isOptionalText(generation) &&
    isOptionalText(seal) && isOptionalCoordinators(coordinators) &&
    (nodes === undefined || isNodeList(nodes)) &&
    (databases === undefined || isDatabaseList(databases)) &&
    Array.isArray(partitions) && partitions.every(isPartitionChange);
}

function isOptionalText(value: unknown): boolean {
  return value === undefined || typeof value === "string";
}

function isPartitionChange(value: unknown): boolean {
  return Array.isArray(value) && isPartition(value[0]) && isPartitionConfig(value[1]);
}

function isNodeList(value: unknown): boolean {
  return Array.isArray(value) && value.every(isNodeInfo);
}

function isOptionalCoordinators(value: unknown): boolean {
  return value === undefined ||
    (Array.isArray(value) && value.length <= COORDINATORS_LISTED_MAX && value.every(isCoordinator));
}

function isCoordinator(value: unknown): boolean {
  if (!isObject(value)) return false;
  const { id, host, port } = value;
  return typeof id === "string" && typeof host === "string" && isPort(port);
}

function isNodeInfo(value: unknown): boolean {
  if (!isObject(value)) return false;
  const { id, host, port, peerPort, httpPort, zone, weight, incarnation, state } = value;
  return typeof id === "string" && typeof host === "string" && isPort(port) && isPort(httpPort) &&
    (peerPort === undefined || isPort(peerPort)) &&
    typeof zone === "string" && typeof weight === "number" && isUint(incarnation) &&
    NODE_STATES.includes(state);
}

function isPort(value: unknown): boolean {
  return isUint(value) && value <= 65_535;
}

function isSettings(value: unknown): value is { partitionCount: number } {
  if (!isObject(value) || !isClusterSettings(value)) return false;
  const { partitionCount } = value;
  return typeof partitionCount === "number" && partitionCount <= PARTITIONS_MAX;
}

/** Whether a value is a media type, with or without parameters, of a length that can be stored. */
export function isMediaType(value: unknown): value is string {
  return typeof value === "string" && value.length <= CONTENT_TYPE_CHARACTERS_MAX &&
    /^[\w!#$%&'*+.^`|~-]+\/[\w!#$%&'*+.^`|~-]+[ ]*(;[\x20-\x7e]*)?$/.test(value);
}
