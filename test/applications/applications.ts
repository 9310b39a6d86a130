import type { Application } from './application.ts';
import { FILES } from './files.ts';
import { FRAMEWORKS } from './frameworks.ts';
import { GIT } from './git.ts';
import { GRPC } from './grpc.ts';
import { EVENTS, SOCKET_IO, WS } from './sockets.ts';
import { TUS } from './tus.ts';
import { WEBDAV } from './webdav.ts';

export const APPLICATIONS: readonly Application[] = [
  SOCKET_IO,
  WS,
  EVENTS,
  FILES,
  GIT,
  ...WEBDAV,
  ...TUS,
  ...FRAMEWORKS,
  GRPC,
];
